"""Replaying recorded days, in processes of their own."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from prefect.artifacts import (
    acreate_markdown_artifact,
    acreate_progress_artifact,
    aupdate_progress_artifact,
)

from easee_load_balancer.backtest.house_estimator import HouseEstimator
from easee_load_balancer.backtest.recorded_days import COLUMNS, RecordedDay, csv_days, recorded_day
from easee_load_balancer.backtest.replay import (
    UNLIMITED_KWH,
    HouseModel,
    ReplayDay,
    priced,
    replay,
)
from easee_load_balancer.backtest.result import Backtest, Replayed
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.energy.power_flows import MARGIN
from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.history.store import History, open_history
from easee_load_balancer.periods import Period, bounds
from easee_load_balancer.reports.backtest_charts import backtest_picture
from easee_load_balancer.reports.backtest_page import headline, markdown
from easee_load_balancer.simulation.plant.closed_loop import Outcome
from easee_load_balancer.system.settings import Settings
from tasks.step import step

_LONG_DAYS = 3
"""Longer backtests have a progress bar."""
_NICE = 10
"""Control cycles come first."""


class RecordedDays(NamedTuple):
    """Recorded days, and the house they were recorded in."""

    days: dict[date, RecordedDay]
    house: HouseModel
    left_out: dict[date, float]
    """Days measured for too little of their daylight, and the share that was measured."""


@step(name="load recorded days", task_run_name="load {period.title}", tags=["history"])
async def load_recorded_days(
    site: str, period: Period, mode: str, car_kwh: float | None, battery_kwh: float | None
) -> RecordedDays:
    """The measured days of the period, and the house as estimated from them."""
    history, estimator = open_history(Settings().database_url), HouseEstimator()
    days, left_out = {}, {}
    for day in period.days:
        one = await asyncio.to_thread(
            _recorded_day, history, site, period, day, mode, car_kwh or UNLIMITED_KWH, estimator
        )
        if one is not None and one.has_enough_daylight:
            days[day] = one
        elif one is not None:
            left_out[day] = one.daylight_measured
    return RecordedDays(days, estimator.house(battery_kwh), left_out)


@step(name="read csv", timeout_seconds=120)
async def load_csv_days(
    csv: str, period: Period, car_kwh: float | None, battery_kwh: float | None
) -> RecordedDays:
    """The days of a CSV text or file."""
    kwh = car_kwh or UNLIMITED_KWH
    days = await asyncio.to_thread(csv_days, csv, period.first, period.zone, kwh)
    return RecordedDays(days, HouseEstimator().house(battery_kwh), {})


@step(name="replay days", task_run_name="replay {site}")
async def replay_days(
    site: str,
    recorded: RecordedDays,
    policy: Policy,
    changed: Policy,
    prices: Prices,
    zone: ZoneInfo,
) -> Mapping[date, Replayed]:
    """Each day under both policies at the owner's prices, one per processor at a time."""
    house = recorded.house
    days = await asyncio.to_thread(_priced, site, recorded.days, prices, zone)
    policies = (policy,) if policy == changed else (policy, changed)
    bar = await _Bar.begin(site, len(days) * len(policies))
    outcomes: dict[tuple[date, int], Outcome] = {}
    # fork would copy a process with threads and their locks
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(os.cpu_count(), context, initializer=os.nice, initargs=(_NICE,))
    try:
        jobs = [
            asyncio.ensure_future(_replay(pool, (day, number), one, house, either))
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
    return {
        day: Replayed(one, outcomes[day, 0], outcomes[day, last])
        for day, one in recorded.days.items()
    }


@step(name="publish backtest", task_run_name="publish {test.period.title}", timeout_seconds=120)
async def publish_backtest(test: Backtest) -> str:
    """Publish the page in the Prefect UI, under one key per site; returns its headline."""
    page = await asyncio.to_thread(lambda: markdown(test, backtest_picture(test)))
    await acreate_markdown_artifact(
        page, key=f"backtest-{test.site}", description=f"{test.period.title}: {headline(test)}"
    )
    return headline(test)


async def _replay(
    pool: ProcessPoolExecutor,
    key: tuple[date, int],
    day: ReplayDay,
    house: HouseModel,
    policy: Policy,
) -> tuple[tuple[date, int], Outcome]:
    loop = asyncio.get_running_loop()
    return key, await loop.run_in_executor(pool, replay, day, house, policy)


def _priced(
    site: str, days: Mapping[date, RecordedDay], prices: Prices, zone: ZoneInfo
) -> dict[date, ReplayDay]:
    """The days with the owner's prices, day-ahead ones as far as the history knows them."""
    table = PriceTable(prices, zone)
    if prices.is_dynamic and days:
        start, end = bounds(min(days), zone)[0], bounds(max(days), zone)[1]
        spot = open_history(Settings().database_url).spot_prices
        table = spot.table(site, prices, zone, start, end, datetime.now(UTC))
    return {day: priced(one.day, table) for day, one in days.items()}


def _recorded_day(
    history: History,
    site: str,
    period: Period,
    day: date,
    mode: str,
    car_kwh: float,
    estimator: HouseEstimator,
) -> RecordedDay | None:
    start, end = bounds(day, period.zone)
    cycles = history.cycles(site, start - MARGIN, end + MARGIN, COLUMNS)
    if len(cycles) < 2:
        return None
    estimator.add(cycles)
    before = history.cycle_before(site, start)
    state = ControllerState.model_validate(before.controller_state) if before else ControllerState()
    return recorded_day(cycles, day, period.zone, state, mode, car_kwh)


class _Bar:
    """The progress bar of a long backtest."""

    def __init__(self, jobs: int, artifact: UUID | None) -> None:
        self._jobs, self._artifact, self._shown = jobs, artifact, 0

    @classmethod
    async def begin(cls, site: str, jobs: int) -> _Bar:
        if jobs <= 2 * _LONG_DAYS:
            return cls(jobs, None)
        key, description = f"backtest-{site}-progress", f"{jobs} days to replay"
        return cls(jobs, await acreate_progress_artifact(0.0, key, description))

    async def show(self, done: int) -> None:
        percent = 100 * done // self._jobs
        if self._artifact is not None and percent > self._shown:
            self._shown = percent
            await aupdate_progress_artifact(self._artifact, float(percent))
