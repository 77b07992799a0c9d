"""Replaying past days, in processes of their own."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from uuid import UUID

from prefect import task
from prefect.artifacts import (
    acreate_markdown_artifact,
    acreate_progress_artifact,
    aupdate_progress_artifact,
)

from easee_load_balancer.backtest.recorded_days import (
    AROUND,
    COLUMNS,
    Clues,
    Recorded,
    csv_days,
    recorded_day,
)
from easee_load_balancer.backtest.replay import ENDLESS_KWH, House, PastDay, replay
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.history.store import History, open_history
from easee_load_balancer.periods import Period, bounds
from easee_load_balancer.reports.backtest_charts import backtest_picture
from easee_load_balancer.reports.backtest_page import Backtest, Replayed, headline, markdown
from easee_load_balancer.simulation.plant.closed_loop import Outcome
from easee_load_balancer.system.settings import Settings

_LONG_DAYS = 3
"""More days than this have a progress bar."""
_NICE = 10
"""Control cycles come first."""

Past = tuple[dict[date, Recorded], House]


@task(name="look into history", task_run_name="look into {period.title}", tags=["history"],
      persist_result=False)  # fmt: skip
async def past_days(
    site: str, period: Period, mode: str, car_kwh: float | None, battery_kwh: float | None
) -> Past:
    """The measured days of the period, and the house that they tell of."""
    history, clues = open_history(Settings().database_url), Clues()
    days = {}
    for day in period.days:
        one = await asyncio.to_thread(
            _past_day, history, site, period, day, mode, car_kwh or ENDLESS_KWH, clues
        )
        if one is not None:
            days[day] = one
    return days, clues.house(battery_kwh)


@task(name="read csv", task_run_name="read csv", timeout_seconds=120, persist_result=False)
async def csv_past(
    csv: str, period: Period, car_kwh: float | None, battery_kwh: float | None
) -> Past:
    """The days of a CSV text or file."""
    days = await asyncio.to_thread(csv_days, csv, period.first, period.zone, car_kwh or ENDLESS_KWH)
    return days, Clues().house(battery_kwh)


@task(name="replay days", task_run_name="replay {site}", persist_result=False)
async def replay_days(
    site: str, past: Past, policy: Policy, changed: Policy
) -> Mapping[date, Replayed]:
    """Each day under both policies, as many at a time as there are processors."""
    days, house = past
    policies = (policy,) if policy == changed else (policy, changed)
    bar = await _Bar.begin(site, len(days) * len(policies))
    outcomes: dict[tuple[date, int], Outcome] = {}
    # fork would copy a process with threads, and whatever they hold
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(os.cpu_count(), context, initializer=os.nice, initargs=(_NICE,))
    try:
        jobs = [
            asyncio.ensure_future(_replay(pool, (day, number), one.day, house, either))
            for day, one in days.items()
            for number, either in enumerate(policies)
        ]
        for job in asyncio.as_completed(jobs):
            key, outcome = await job
            outcomes[key] = outcome
            await bar.show(len(outcomes))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    last = len(policies) - 1
    return {day: Replayed(one, outcomes[day, 0], outcomes[day, last]) for day, one in days.items()}


@task(name="publish backtest", task_run_name="publish {test.period.title}", timeout_seconds=120,
      persist_result=False)  # fmt: skip
async def publish_backtest(test: Backtest) -> str:
    """Show it in the Prefect UI, under one key per site; its headline."""
    page = await asyncio.to_thread(lambda: markdown(test, backtest_picture(test)))
    await acreate_markdown_artifact(
        page, key=f"backtest-{test.site}", description=f"{test.period.title}: {headline(test)}"
    )
    return headline(test)


async def _replay(
    pool: ProcessPoolExecutor,
    key: tuple[date, int],
    day: PastDay,
    house: House,
    policy: Policy,
) -> tuple[tuple[date, int], Outcome]:
    loop = asyncio.get_running_loop()
    return key, await loop.run_in_executor(pool, replay, day, house, policy)


def _past_day(
    history: History,
    site: str,
    period: Period,
    day: date,
    mode: str,
    car_kwh: float,
    clues: Clues,
) -> Recorded | None:
    start, end = bounds(day, period.zone)
    cycles = history.cycles(site, start - AROUND, end + AROUND, COLUMNS)
    if len(cycles) < 2:
        return None
    clues.add(cycles)
    before = history.cycle_before(site, start)
    state = ControllerState.model_validate(before.controller_state) if before else ControllerState()
    return recorded_day(cycles, day, period.zone, state, mode, car_kwh)


class _Bar:
    """A progress bar, where there are so many days that one is wanted."""

    def __init__(self, jobs: int, artifact: UUID | None) -> None:
        self._jobs, self._artifact, self._shown = jobs, artifact, 0

    @classmethod
    async def begin(cls, site: str, jobs: int) -> _Bar:
        if jobs <= 2 * _LONG_DAYS:
            return cls(jobs, None)
        about = f"{jobs} days to replay"
        return cls(jobs, await acreate_progress_artifact(0.0, f"backtest-{site}-progress", about))

    async def show(self, done: int) -> None:
        percent = 100 * done // self._jobs
        if self._artifact is not None and percent > self._shown:
            self._shown = percent
            await aupdate_progress_artifact(self._artifact, float(percent))
