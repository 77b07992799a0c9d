"""Runs in processes of their own, for flows whose packages are large and needed once a day.

pandas and matplotlib would stay in the worker: 85 MB.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from uuid import UUID

from prefect.settings import get_current_settings


class OwnProcesses:
    """The runs that are under way; their processes end with this one."""

    def __init__(self) -> None:
        self._processes: dict[UUID, asyncio.subprocess.Process] = {}

    async def run(self, run_id: UUID) -> int:
        """Carry out a flow run; returns the exit code of its process.

        The process reports the run's states itself, unless it is killed.
        """
        settings = get_current_settings().to_environment_variables(exclude_unset=True)
        process = self._processes[run_id] = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "easee_load_balancer.system.ends_with_parent"),
            *("prefect.engine", str(run_id)),
            stdin=asyncio.subprocess.PIPE,  # this end is open as long as this process lives
            env=os.environ | settings,
            start_new_session=True,
        )
        try:
            return await process.wait()
        finally:
            self.end(run_id)
            del self._processes[run_id]

    def end(self, run_id: UUID) -> None:
        """Kill the run's process, if there is one."""
        process = self._processes.get(run_id)
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def end_all(self) -> None:
        """Kill all of them."""
        for run_id in self._processes:
            self.end(run_id)
