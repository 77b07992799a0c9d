"""Settings from environment variables, with defaults for a home server."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from easee_load_balancer.errors import ConfigurationError


class Settings(BaseSettings):
    """Read from `EASEE_BALANCER_DATA_FOLDER`, `..._HISTORY_URL`, and so on."""

    model_config = SettingsConfigDict(env_prefix="EASEE_BALANCER_", frozen=True)

    data_folder: Path = Field(
        default=Path("~/.local/share/easee-balancer"),
        description="Folder for the history, the locks and the encrypted Easee session.",
    )
    history_url: SecretStr | None = Field(
        default=None,
        description="SQLAlchemy URL of another database, for example postgresql://user:pw@host/db.",
    )
    shared_pool: bool = Field(
        default=False,
        description="true: workers on several machines share pools, with one history in "
        "PostgreSQL. A worker that cannot reach it sends nothing.",
    )
    server_names: str = Field(
        default="",
        description="Host names or addresses under which other computers open the Prefect server, "
        "separated by commas, for example homeserver.lan,192.168.1.10.",
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The server's names besides loopback's."""
        return tuple(name.strip() for name in self.server_names.split(",") if name.strip())

    @property
    def folder(self) -> Path:
        """The data folder, created for its owner only.

        Raises ConfigurationError if it cannot be created.
        """
        folder = self.data_folder.expanduser().resolve()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigurationError(
                f"Cannot create the data folder {folder} ({error.strerror}): set "
                "EASEE_BALANCER_DATA_FOLDER to a writable folder."
            ) from error
        return folder

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the history; by default SQLite in the data folder."""
        if self.history_url is not None:
            return self.history_url.get_secret_value()
        return f"sqlite:///{self.folder / 'history.db'}"
