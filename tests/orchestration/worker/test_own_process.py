"""Runs in processes of their own: carried out, cancelled, and ended with their worker."""

from __future__ import annotations

import os
import signal

import psutil
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling

from easee_load_balancer.orchestration.worker.run_states import OWN_PROCESS_TAG
from tests.support.home import data_folder
from tests.support.waiting import until
from tests.support.worker import deployed, ended, working

__all__ = ["data_folder"]


def processes() -> dict[str, int]:
    """The processes of runs by the runs' IDs."""
    commands = {one.pid: one.cmdline() for one in psutil.Process().children()}
    return {command[-1]: pid for pid, command in commands.items() if "prefect.engine" in command}


async def test_runs_in_processes_of_their_own(client: PrefectClient) -> None:
    tags = [OWN_PROCESS_TAG]
    deployment = await deployed(client, "apart", "apart", tags=tags)

    async def a_run(seconds: float) -> FlowRun:
        return await client.create_flow_run_from_deployment(
            deployment, parameters={"seconds": seconds}, tags=tags
        )

    slow = killed, cancelled, left = [await a_run(600) for _ in range(3)]
    async with working("apart"):
        pids = await until(lambda: found if len(found := processes()) == len(slow) else None)
        os.kill(pids[str(killed.id)], signal.SIGKILL)  # while it is still importing
        await client.set_flow_run_state(cancelled.id, Cancelling(), force=True)
        crashed, stopped = await ended(client, killed), await ended(client, cancelled)
        own = (await ended(client, await a_run(0))).message
    assert str(own).isdecimal()
    assert own != str(os.getpid())
    assert (crashed.name, crashed.message) == ("Crashed", "Its process ended with code -9.")
    assert stopped.name == "Cancelled"
    await until(lambda: not psutil.pid_exists(pids[str(left.id)]))
