"""A Prefect server and a data folder belong together, for each pool.

Locks and history are in the data folder: two workers of one server with a folder each would both
set the charger, and neither would know of the other. Workers on several machines share one history
in PostgreSQL, and its locks.
"""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from prefect.exceptions import ObjectAlreadyExists
from prefect.logging import get_logger
from prefect.settings import PREFECT_API_URL
from prefect.variables import Variable

from easee_load_balancer.errors import ConfigurationError, LockLost
from easee_load_balancer.system.database_locks import DatabaseLocks
from easee_load_balancer.system.files import replace_file
from easee_load_balancer.system.settings import Settings

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
            except (ConfigurationError, LockLost) as error:
                if self._refusal != str(error):
                    self._refusal = str(error)
                    get_logger("pairing").error("This worker runs nothing. %s", error)
                return False
            self._holds = True
        return True


async def pair(folder: Path, pool: str) -> None:
    """Store an ID in server and folder at first, and compare the two from then on.

    A pool that workers on several machines serve belongs to their database instead. Raises
    ConfigurationError if the server's pool belongs to another one, LockLost without the database.
    """
    value = await Variable.aget(VARIABLE)
    known = value if isinstance(value, dict) else {}
    settings, own_id = Settings(), folder_id(folder)
    if settings.shared_pool:
        folders_id, url = own_id, settings.database_url
        own_id = await DatabaseLocks().database_id(url, otherwise=str(uuid4()))
        if known.get(pool) == folders_id:  # this machine has served it alone so far
            known = {name: known[name] for name in known if name != pool}
    if pool not in known and own_id:
        try:
            await Variable.aset(VARIABLE, known | {pool: own_id}, overwrite=True)
        except ObjectAlreadyExists:  # another worker is starting
            await pair(folder, pool)
    elif pool in known and known[pool] != own_id:
        server = f"The Prefect server at {PREFECT_API_URL.value()}"
        if settings.shared_pool:
            raise ConfigurationError(
                f"{server} belongs to another history than EASEE_BALANCER_HISTORY_URL names. Set "
                f"the same on all machines, or delete the variable {VARIABLE} in the Prefect UI."
            )
        raise ConfigurationError(
            f"{server} belongs to another data folder than {folder}. Set "
            "EASEE_BALANCER_DATA_FOLDER to that folder, or PREFECT_API_URL to the server of this "
            "one. If the other folder is gone for good, delete the variable "
            f"{VARIABLE} in the Prefect UI. For workers on several machines, set "
            "EASEE_BALANCER_SHARED_POOL=true on all of them."
        )


def folder_id(folder: Path | None = None) -> str:
    """The ID of the data folder, new at first; empty where it cannot be stored now."""
    file = (folder or Settings().folder) / _FILE
    known = file.read_text().strip() if file.is_file() else ""
    if known:
        return known
    own_id = str(uuid4())
    try:
        replace_file(file, own_id.encode())
    except OSError:  # a full or read-only disk: at the next start
        return ""
    return own_id
