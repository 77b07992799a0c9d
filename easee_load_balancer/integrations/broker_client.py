"""One connection to the MQTT broker. The only module that imports the MQTT library."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import aiomqtt
from paho.mqtt.subscribeoptions import SubscribeOptions

from easee_load_balancer.devices.sanitize import plain
from easee_load_balancer.errors import BrokerError
from easee_load_balancer.integrations.home_assistant import Message
from easee_load_balancer.integrations.mqtt_broker import BrokerAddress

_TIMEOUT_S = 3.0
_KEEPALIVE_S = 20
_MOST_WAITING = 50
"""Commands beyond these are dropped."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message from the broker."""

    topic: str
    payload: bytes
    retained: bool


class BrokerClient:
    """An open connection. Every method raises BrokerError when the broker fails."""

    def __init__(self, client: aiomqtt.Client, name: str) -> None:
        self._client = client
        self._name = name

    async def publish(self, messages: Iterable[Message]) -> None:
        """Publish retained messages; returns when the broker has confirmed them."""
        with _as_broker_error(self._name):
            for one in messages:
                await self._client.publish(one.topic, one.payload, qos=1, retain=True)

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Receive these topics. Retained messages are marked, also those sent from now on."""
        options = SubscribeOptions(qos=1, retainAsPublished=True)
        with _as_broker_error(self._name):
            await self._client.subscribe([(topic, options) for topic in topics])

    async def received(self) -> AsyncIterator[Received]:
        """Messages as they come."""
        with _as_broker_error(self._name):
            async for one in self._client.messages:
                payload = one.payload if isinstance(one.payload, bytes) else b""
                yield Received(str(one.topic), payload, one.retain)


@asynccontextmanager
async def connected(
    address: BrokerAddress, site: str, will: Message | None = None
) -> AsyncIterator[BrokerClient]:
    """A connection to the broker. Raises BrokerError."""
    with _as_broker_error(str(address)):
        client = aiomqtt.Client(
            address.host,
            address.port,
            username=address.user_name or None,
            password=address.password.get_secret_value() or None,
            identifier=f"easee-balancer-{site}-{secrets.token_hex(3)}",
            protocol=aiomqtt.ProtocolVersion.V5,  # marks retained messages in `subscribe`
            will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=True) if will else None,
            keepalive=_KEEPALIVE_S,
            tls_context=address.tls_context,
            timeout=_TIMEOUT_S,
            max_queued_incoming_messages=_MOST_WAITING,
        )
        try:
            await client.__aenter__()
        except BaseException:
            client._client._sock_close()  # aiomqtt leaves it open for seconds when nobody answers
            raise
        try:
            yield BrokerClient(client, str(address))
        finally:
            await client.__aexit__(None, None, None)


@contextmanager
def _as_broker_error(name: str) -> Iterator[None]:
    try:
        yield
    except (aiomqtt.MqttError, OSError, ValueError) as error:
        raise BrokerError(
            f"The MQTT broker at {name} cannot be used ({plain(str(error))}). Is it running, and "
            "is the block 'MQTT broker' right?"
        ) from None
