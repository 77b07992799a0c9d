"""Slow devices of one site never delay another's cycle in the same worker."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

from balance import balance

from easee_load_balancer.orchestration.worker.flow_runner import FlowRunner
from tests.support.home import a_home
from tests.support.site import site_of
from tests.support.waiting import LONGEST_S, until

SLOW = ["slow-1", "slow-2"]


async def test_a_site_keeps_its_interval_while_the_inverters_of_others_are_silent() -> None:
    async with a_home() as quick, a_home(timeout_s=8.0) as silent:
        for name in SLOW:
            await replace(site_of(silent.house, settle_time_s=0.1, timeout_s=8.0), name=name).save()
        await quick.save()
        assert (await quick.cycle()).is_completed()
        silent.house.faults.modbus = "silent"
        waiting = [asyncio.ensure_future(balance(name, return_state=True)) for name in SLOW]
        await until(lambda: silent.house.inverter.connections)
        assert (await quick.cycle()).is_completed()
        assert not any(one.done() for one in waiting)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def test_a_name_that_nobody_resolves_holds_one_of_many_threads() -> None:
    together = threading.Barrier(40)

    async def resolve_all() -> None:
        await asyncio.gather(*(asyncio.to_thread(together.wait, LONGEST_S) for _ in range(40)))

    runner = FlowRunner()
    runner.start()
    try:
        runner._submit(resolve_all()).result(LONGEST_S)
    finally:
        runner.stop()
