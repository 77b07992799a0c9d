"""Where the MQTT broker is, and how to log in to it."""

from __future__ import annotations

import ssl

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class BrokerAddress(BaseModel):
    """Address and login of an MQTT broker."""

    model_config = ConfigDict(hide_input_in_errors=True)

    host: str = Field(
        min_length=1,
        max_length=253,
        title="Host",
        description="Name or IP address of the MQTT broker, for example homeassistant.local.",
    )
    port: int = Field(
        default=1883,
        ge=1,
        le=65535,
        title="Port",
        description="Usually 1883, or 8883 with TLS.",
    )
    user_name: str = Field(
        default="",
        max_length=200,
        title="User name",
        description="Login of the broker; empty if it needs none.",
    )
    password: SecretStr = Field(
        default=SecretStr(""), title="Password", description="Password of that login."
    )
    tls: bool = Field(
        default=False,
        title="TLS",
        description="Encrypt the connection. This machine must trust the broker's certificate.",
    )

    @property
    def tls_context(self) -> ssl.SSLContext | None:
        """What the certificate is checked with; None without TLS."""
        return ssl.create_default_context() if self.tls else None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"
