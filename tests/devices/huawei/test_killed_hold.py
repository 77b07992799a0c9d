"""A process killed (kill -9) at every request of a hold: the battery is free again afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from easee_load_balancer.devices.huawei.hold_record import HoldRecord
from easee_load_balancer.measurements import BatteryHold
from tests.support.battery import MAX_W, HeldHouse, held_house
from tests.support.paths import PROJECT
from tests.support.waiting import LONGEST_S

NEVER = 10_000


@dataclass
class Killer:
    """Stands between a process and the inverter, and kills the process at a request."""

    house: HeldHouse
    port: int = 0
    requests: int = 0
    at_request: int = NEVER
    answered: bool = False
    """Whether the inverter has carried the request out by then."""
    victim: int = 0
    seen: list[bytes] = field(default_factory=list)
    """Function and register of each request."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the process, until either end closes it."""
        port = self.house.address.port
        answers, inverter = await asyncio.open_connection("127.0.0.1", port)
        while request := await reader.read(1024):
            self.requests += 1
            self.seen.append(request[7:10])
            fatal = self.requests == self.at_request
            if fatal and not self.answered:
                os.kill(self.victim, signal.SIGKILL)
                break
            inverter.write(request)
            answer = await answers.read(1024)
            if fatal:
                os.kill(self.victim, signal.SIGKILL)
                break
            writer.write(answer)
        inverter.close()
        writer.close()

    def aim(self, at_request: int, *, answered: bool) -> None:
        """Kill the next process there."""
        self.requests, self.at_request, self.answered, self.seen = 0, at_request, answered, []


@asynccontextmanager
async def killing(folder: Path) -> AsyncIterator[tuple[Killer, asyncio.subprocess.Process]]:
    """The house, and the process whose children hold its battery."""
    async with held_house(folder) as house:
        killer = Killer(house)
        server = await asyncio.start_server(killer.serve, "127.0.0.1", 0)
        killer.port = server.sockets[0].getsockname()[1]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.held_process"),
            *(str(killer.port), str(folder)),
            stdin=pipe, stdout=pipe, cwd=PROJECT,
        )  # fmt: skip
        try:
            async with server:
                yield killer, process
        finally:
            process.kill()
            await process.wait()


async def hold(killer: Killer, process: asyncio.subprocess.Process, way: BatteryHold) -> None:
    """Let a process hold the battery and release it, until it ends or is killed."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{way.value}\n".encode())
    async with asyncio.timeout(LONGEST_S):
        killer.victim = int(await process.stdout.readline())
        assert await process.stdout.readline() == b"ended\n"


@pytest.mark.parametrize("way", [BatteryHold.LIMIT, BatteryHold.COMMAND])
async def test_the_battery_is_free_again_whenever_its_holder_is_killed(
    tmp_path: Path, way: BatteryHold
) -> None:
    left_held = 0
    async with killing(tmp_path) as (killer, process):
        house = killer.house
        killer.aim(NEVER, answered=False)
        await hold(killer, process, way)
        requests = killer.requests
        assert house.discharges()
        for at_request in range(1, requests + 1):
            for answered in (False, True):
                house.battery.ends_by_time, house.battery.forced_min = False, 0  # as at first
                killer.aim(at_request, answered=answered)
                await hold(killer, process, way)
                left_held += not house.discharges()
                if way is BatteryHold.LIMIT:
                    house.restart()
                    await house.control.release(house.now)
                    await house.control.inverter.close()
                else:
                    house.pass_time(120)
                where = f"killed at request {at_request} of {killer.seen}"
                assert house.discharges(), where
                assert house.battery.discharge_limit_w == MAX_W, where
                assert HoldRecord.load(house.record).restore_w is None, where
                house.record.unlink(missing_ok=True)
    assert left_held >= 3, "most kills during a hold leave the battery held at first"
