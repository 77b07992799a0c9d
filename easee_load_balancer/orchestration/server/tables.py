"""Prefect's tables, block types and our variable, created or updated by a process of its own.

This leaves 40 MB of memory in the process for a new database, and 15 MB for one that is up to date.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.server.database import provide_database_interface
from prefect.server.models.block_registration import run_block_auto_registration
from prefect.settings import (
    PREFECT_API_BLOCKS_REGISTER_ON_START,
    PREFECT_API_DATABASE_MIGRATE_ON_START,
    temporary_settings,
)

from easee_load_balancer.orchestration.server.light_sqlite import set_up
from easee_load_balancer.orchestration.server.time_zone import create_missing
from easee_load_balancer.system.processes import StartError

_DONE_ALREADY = {
    PREFECT_API_DATABASE_MIGRATE_ON_START: False,
    PREFECT_API_BLOCKS_REGISTER_ON_START: False,
}


def create_tables() -> None:
    """Create or update them; to be called before there is a connection.

    Raises StartError if it fails.
    """
    process = multiprocessing.get_context("fork").Process(target=_create)
    process.start()
    process.join()
    if process.exitcode:
        raise StartError("Prefect's database cannot be created or updated; the reason is above.")


@contextmanager
def tables_left_alone() -> Iterator[None]:
    """Inside, the server takes them as they are."""
    with temporary_settings(_DONE_ALREADY):
        yield


def _create() -> None:
    asyncio.run(_prepare())


async def _prepare() -> None:
    await set_up()
    database = provide_database_interface()
    await database.create_db()
    async with await database.session() as session:
        await run_block_auto_registration(session=session)
    async with database.session_context(begin_transaction=True) as session:
        await create_missing(session)
