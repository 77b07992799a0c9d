"""Tasks that outlive a flow run are ended for sure."""

from __future__ import annotations

import asyncio

import pytest

from easee_load_balancer.system import lasting_tasks
from easee_load_balancer.system.lasting_tasks import cancel


async def _swallows(cancellations: int, swallowed: list[int]) -> None:
    """Goes on after some cancellations, as `asyncio.wait_for` of Python 3.11 lets tasks do."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if len(swallowed) == cancellations:
                raise
            swallowed.append(1)


@pytest.mark.parametrize("cancellations", [0, 1, 3])
async def test_a_task_that_swallows_cancellations_is_ended(
    cancellations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting_tasks, "_AGAIN_S", 0.02)
    swallowed: list[int] = []
    task = asyncio.create_task(_swallows(cancellations, swallowed))
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await cancel([task])
    assert task.cancelled()
    assert len(swallowed) == cancellations


async def test_errors_of_ended_tasks_are_dropped() -> None:
    async def fail() -> None:
        raise ValueError("not ours")

    await cancel([asyncio.create_task(fail())])
    await cancel([])
