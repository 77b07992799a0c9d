"""A Prefect server and a data folder belong together, for each pool.

Locks and history are in the data folder: two workers of one server with a folder each would both
set the charger, and neither would know of the other.
"""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from prefect.logging import get_logger
from prefect.settings import PREFECT_API_URL
from prefect.variables import Variable

from easee_load_balancer.errors import ConfigurationError

VARIABLE = "easee_balancer_folders"
"""Prefect variable with the data folder's ID of each pool."""

_FILE = "folder-id"


class Pairing:
    """For a worker: whether server and folder belong together, asked until they do."""

    def __init__(self, folder: Path, pool: str) -> None:
        self._folder, self._pool = folder, pool
        self._holds, self._refusal = False, ""

    async def holds(self) -> bool:
        """Whether they belong together; the reason is logged once if they do not."""
        if not self._holds:
            try:
                await pair(self._folder, self._pool)
            except ConfigurationError as error:
                if self._refusal != str(error):
                    self._refusal = str(error)
                    get_logger("pairing").error("This worker runs nothing. %s", error)
                return False
            self._holds = True
        return True


async def pair(folder: Path, pool: str) -> None:
    """Store an ID in server and folder at first, and compare the two from then on.

    Raises ConfigurationError if the server's pool belongs to another folder.
    """
    file = folder / _FILE
    own_id = file.read_text().strip() if file.is_file() else None
    value = await Variable.aget(VARIABLE)
    known = value if isinstance(value, dict) else {}
    if pool not in known:
        own_id = own_id or str(uuid4())
        try:
            file.write_text(own_id)
        except OSError:  # a full or read-only disk: at the next start
            return
        await Variable.aset(VARIABLE, known | {pool: own_id}, overwrite=True)
    elif known[pool] != own_id:
        raise ConfigurationError(
            f"The Prefect server at {PREFECT_API_URL.value()} belongs to another data folder than "
            f"{folder}. Set EASEE_BALANCER_DATA_FOLDER to that folder, or PREFECT_API_URL to the "
            "server of this one. If the other folder is gone for good, delete the variable "
            f"{VARIABLE} in the Prefect UI."
        )
