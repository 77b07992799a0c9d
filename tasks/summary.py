"""Summing up a day."""

from __future__ import annotations

from datetime import date

import pandas as pd
from prefect import task
from prefect.artifacts import acreate_markdown_artifact

from easee_load_balancer.energy import EnergyOfDay, summarise
from easee_load_balancer.wording import summary_markdown


@task(name="sum up energy", task_run_name="sum up energy", persist_result=False)
def sum_up(cycles: pd.DataFrame) -> EnergyOfDay:
    """Energy by source."""
    return summarise(cycles)


@task(name="publish summary", task_run_name="publish summary", timeout_seconds=30)
async def publish_summary(site: str, day: date, energy: EnergyOfDay) -> None:
    """Show the day in the Prefect UI, under one key per site."""
    await acreate_markdown_artifact(
        summary_markdown(site, day, energy),
        key=f"energy-{site}",
        description=f"Energy of {day:%Y-%m-%d}: {energy.car_from_sun_kwh:.1f} kWh from the sun",
    )
