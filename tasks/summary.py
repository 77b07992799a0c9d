"""Summing up days, months and years."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from prefect.artifacts import acreate_markdown_artifact

from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.history.store import History
from easee_load_balancer.orchestration.blocks import load_if_valid
from easee_load_balancer.orchestration.other_chargers import OtherChargers
from easee_load_balancer.periods import Period
from easee_load_balancer.reports.by_charger import by_charger
from easee_load_balancer.reports.csv_export import write_day_csv, write_days_csv
from easee_load_balancer.reports.summary import DayDetail, Summary, day_detail, sum_up
from easee_load_balancer.reports.summary_charts import bars_picture, day_picture
from easee_load_balancer.reports.summary_page import headline, markdown
from easee_load_balancer.system.settings import Settings
from tasks.history import use_history
from tasks.step import step


@step(
    name="sum up energy",
    task_run_name="sum up {period.title}",
    tags=["history"],
    timeout_seconds=240,
)
async def sum_up_energy(site: str, period: Period, prices: Prices | None) -> Summary:
    """The energy totals of each day; complete days are stored."""
    now = datetime.now(UTC)
    summary = await use_history(lambda history: sum_up(history, site, period, prices, now))
    if not (parts := await use_history(lambda history: history.parts(site))):
        return summary
    keys = await _named(site, parts)
    chargers = await use_history(lambda history: by_charger(history, site, keys, period, now))
    return replace(summary, chargers=chargers)


@step(name="publish summary", task_run_name="publish {summary.period.title}", timeout_seconds=60)
async def draw_and_publish(summary: Summary) -> str:
    """Publish the page in the Prefect UI, under one key per site and kind; returns its headline."""
    page = await use_history(lambda history: _page(history, summary))
    kind = summary.period.kind
    await acreate_markdown_artifact(
        page,
        key=f"energy-{summary.site}" if kind == "day" else f"energy-{summary.site}-{kind}",
        description=f"{summary.period.title}: {headline(summary)}",
    )
    return headline(summary)


@step(
    name="export csv",
    task_run_name="export {summary.period.title}",
    timeout_seconds=60,
    tags=["history"],
)
async def export_csv(summary: Summary) -> Path:
    """Write one day cycle by cycle, or several days day by day; returns the path."""
    return await use_history(lambda history: _export(history, summary))


@step(name="delete old cycles", tags=["history"], timeout_seconds=240)
async def delete_old_cycles(site: str, before: datetime) -> int:
    """Delete the site's cycles from before then, a month of them at most; their number."""
    return await use_history(lambda history: history.delete_cycles(site, before))


async def _named(site: str, parts: Sequence[str]) -> dict[str, str]:
    """The chargers' names in the history by what the owner calls them."""
    ids = {part: part.rpartition("/")[2] for part in parts}
    others = await load_if_valid(OtherChargers, site)
    names = {one.charger_id: one.name for one in others.chargers} if others else {}
    first = next((id_ for id_ in ids.values() if id_ not in names), None)
    if others is not None and first is not None:
        names[first] = others.first_name
    return {names.get(id_, id_): part for part, id_ in ids.items()}


def _export(history: History, summary: Summary) -> Path:
    period = summary.period
    days = f"{period.first}" if period.kind == "day" else f"{period.first}-to-{period.last}"
    path = Settings().folder / "summaries" / f"{summary.site}-{days}.csv"
    if period.kind == "day":
        write_day_csv(_detail(history, summary), period, path)
    else:
        write_days_csv(summary, path)
    return path


def _page(history: History, summary: Summary) -> str:
    if not summary.total.measured_s:
        return markdown(summary, None)
    if summary.period.kind != "day":
        return markdown(summary, bars_picture(summary))
    detail = _detail(history, summary)
    return markdown(summary, day_picture(detail, summary.period.zone), detail)


def _detail(history: History, summary: Summary) -> DayDetail:
    return day_detail(history, summary.site, summary.period, datetime.now(UTC))
