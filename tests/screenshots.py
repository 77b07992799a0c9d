"""Pictures of the Prefect UI for the README: `make screenshots`.

The demo's house and blocks, cycles every 10 s, a day until now, and the summary of a day before.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from prefect.deployments.flow_runs import arun_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings

from easee_load_balancer.commands.demo import DEMO_DAY, start_house
from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.simulation.plant.plant import BatterySpec
from tests.benchmarks.cycle import ended_cycles, reschedule
from tests.support.browser import Browser, browser
from tests.support.history import insert
from tests.support.paths import PROJECT
from tests.support.simulated_day import DAY, STOCKHOLM, Troubles, watch_day

FOLDER = PROJECT / "deployments" / "screenshots"
_CYCLES = 14
_FADE_IN_S = 6.0
PHONE = 390
"""Pixels across."""


async def fill(day: str) -> str:
    """Let cycles run and sum up a day; the id of a run that changed the current."""
    start = datetime.now(UTC)
    await reschedule(10)
    runs = await ended_cycles(start)
    while len(runs) < _CYCLES:
        await asyncio.sleep(2)
        runs = await ended_cycles(start)
    await arun_deployment("daily_summary/Daily summary", parameters={"day": day}, timeout=120)
    return str(runs[0].id)


def take(
    window: Browser, url: str, shows: str, name: str, *, width: int = 1280, height: int = 900
) -> None:
    """One picture, once the page shows that text."""
    window.size(width, height)
    window.open(url)
    window.wait_for(f"return document.body.innerText.includes({shows!r})", timeout_s=60)
    time.sleep(_FADE_IN_S)
    FOLDER.mkdir(exist_ok=True)
    window.picture(FOLDER / f"{name}.png")


def main() -> None:
    """Start everything, take the pictures, end everything."""
    with tempfile.TemporaryDirectory() as name, PrefectStack(Path(name), PROJECT) as stack:
        os.environ["EASEE_BALANCER_DATA_FOLDER"] = str(stack.data_folder)
        watched = watch_day(DAY, "variable", battery=BatterySpec(), troubles=Troubles())
        now = datetime.now(UTC)
        today = watch_day(now.astimezone(STOCKHOLM).date(), "variable", battery=None)
        known = [*watched.cycles, *(one for one in today.cycles if one.at < now)]
        insert(f"sqlite:///{stack.data_folder / 'history.db'}", known)
        with temporary_settings({PREFECT_API_URL: stack.api_url}):
            start_house(stack, *DEMO_DAY)
            stack.deploy()
            stack.start_worker()
            run = asyncio.run(fill(str(DAY)))
            with browser(Path(name)) as window:
                phone = {"width": PHONE, "height": 1650}
                take(window, f"{stack.ui_url}/now", "Is everything well", "now", **phone)
                take(window, f"{stack.ui_url}/runs", "surplus", "runs", height=1500)
                take(window, f"{stack.ui_url}/runs/flow-run/{run}", "Task Runs", "run")
                take(window, f"{stack.ui_url}/deployments", "Daily summary", "deployments")
                url = f"{stack.ui_url}/yesterday"
                take(window, url, "Sold to the grid", "summary", height=1900)


if __name__ == "__main__":
    main()
