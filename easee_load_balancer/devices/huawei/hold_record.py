"""What a hold of the battery leaves behind, so that it can be undone after a crash.

On disk; where several workers share a pool, in the database, as another machine may go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.errors import HoldFailed, LockLost
from easee_load_balancer.system.database_locks import DATABASE_LOCKS
from easee_load_balancer.system.files import replace_file

RECORDS = "battery-*.json"
"""The records of all sites in the data folder."""
_HOUR = timedelta(hours=1)
_LOOK = "Check the maximum discharge power in the FusionSolar app"


def record_path(folder: Path, site: str) -> Path:
    """Where the site's record is; missing as long as its battery was never held."""
    return folder / RECORDS.replace("*", site)


class HoldRecord(BaseModel):
    """The discharge limit to restore, and when settings of the battery were written."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    restore_w: int | None = None
    """The discharge limit before ours; None while we have not set any."""
    written_at: tuple[AwareDatetime, ...] = ()
    """Writes of lasting settings in the last hour."""
    address: InverterAddress | None = None
    """The inverter that was written to."""

    @classmethod
    def load(cls, path: Path) -> HoldRecord:
        """The record on disk, or an empty one. Raises HoldFailed if it cannot be read."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return cls()
        except (OSError, ValidationError) as error:
            raise HoldFailed(
                f"{path} cannot be read, so the battery's discharge limit before the hold is "
                f"unknown. {_LOOK}, then delete the file."
            ) from error

    def save(self, path: Path) -> None:
        """Replace the record atomically; it is on the disk when this returns. Raises OSError."""
        replace_file(path, self.model_dump_json().encode())

    def writes(self, now: datetime) -> tuple[datetime, ...]:
        """The writes of the last hour; one in the future comes from a wrong clock."""
        return tuple(at for at in self.written_at if timedelta(0) <= now - at < _HOUR)


class HoldStore(Protocol):
    """Keeps the record of one battery. Its methods raise HoldFailed."""

    async def load(self) -> HoldRecord:
        """The record, or an empty one."""

    async def save(self, record: HoldRecord) -> None:
        """Replace the record; it survives a crash when this returns."""


@dataclass(frozen=True, slots=True)
class HoldFile:
    """The record on disk."""

    path: Path

    async def load(self) -> HoldRecord:
        """The record, or an empty one. Raises HoldFailed."""
        return HoldRecord.load(self.path)

    async def save(self, record: HoldRecord) -> None:
        """Replace the record. Raises HoldFailed."""
        try:
            record.save(self.path)
        except OSError as error:
            raise HoldFailed(
                f"The battery's discharge limit cannot be stored in {self.path} "
                f"({error.strerror}). Check disk space and folder ownership."
            ) from error


@dataclass(frozen=True, slots=True)
class SharedHold:
    """The record in the database of workers that share a pool."""

    url: str
    site: str

    async def load(self) -> HoldRecord:
        """The record, or an empty one. Raises HoldFailed."""
        try:
            stored = await DATABASE_LOCKS.note(self.url, self._name)
            return HoldRecord() if stored is None else HoldRecord.model_validate_json(stored)
        except LockLost as error:
            raise HoldFailed(f"The battery's record cannot be read. {error}") from error
        except ValidationError as error:
            raise HoldFailed(
                f"The {self._name} in the table 'notes' of the database is not readable, so the "
                f"battery's discharge limit before the hold is unknown. {_LOOK}, then delete that "
                "row."
            ) from error

    async def save(self, record: HoldRecord) -> None:
        """Replace the record. Raises HoldFailed."""
        try:
            await DATABASE_LOCKS.keep_note(self.url, self._name, record.model_dump_json())
        except LockLost as error:
            raise HoldFailed(f"The battery's record cannot be stored. {error}") from error

    @property
    def _name(self) -> str:
        return f"battery of {self.site}"
