"""Which worker of a pool takes a site's cycles, where several machines serve it.

An inverter serves one client at a time, so a site stays with one worker as long as that lives. The
server knows which workers are online; a hash of deployment and worker puts them in an order, the
same for all of them. The first one claims a due cycle at once, each later one 3 s after the one
before, so that the cycles of a dead worker are taken over with the next one.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType, WorkerStatus

from easee_load_balancer.system.database_locks import DATABASE_LOCKS

STAND_BACK_S = 3.0


class Sharing:
    """This worker among those of its pool."""

    def __init__(self, pool: str, name: str, *, shared: bool = True) -> None:
        """Where the pool is not `shared`, nothing is asked and nobody waits."""
        self.shared = shared
        self._pool, self._name = pool, name
        self._online: Sequence[str] = (name,)

    async def refresh(self, client: PrefectClient) -> None:
        """Ask the server which workers are online."""
        if not self.shared:
            return
        found = await client.read_workers_for_work_pool(self._pool)
        online = {one.name for one in found if one.status is WorkerStatus.ONLINE}
        self._online = sorted(online | {self._name})

    async def stand_back(self, deployment_id: UUID) -> None:
        """Leave a due cycle to those that come first."""
        if self.shared:
            await asyncio.sleep(self.stand_back_s(deployment_id))

    async def is_free(self, client: PrefectClient, run_id: UUID) -> bool:
        """Whether no other worker has taken that run. Raises ObjectNotFound where it is gone.

        Prefect refuses a claim while a run is under way, but not when it is completed.
        """
        if not self.shared:
            return True
        return (await client.read_flow_run(run_id)).state_type is StateType.SCHEDULED

    def stand_back_s(self, deployment_id: UUID) -> float:
        """How long to leave a due cycle to others, in s; longer without the locks' database."""
        order = sorted(self._online, key=lambda name: _hash(deployment_id, name))
        place = len(order) if DATABASE_LOCKS.failing else order.index(self._name)
        return STAND_BACK_S * place


def _hash(deployment_id: UUID, name: str) -> bytes:
    return hashlib.sha256(f"{deployment_id} {name}".encode()).digest()
