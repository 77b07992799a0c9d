"""Sending one event for each thing that the owner should know; automations notify of it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from prefect.events import emit_event
from pydantic import ValidationError

from easee_load_balancer.integrations.snapshot import Snapshot
from easee_load_balancer.reports.alerts import Alerts, conditions
from easee_load_balancer.system.files import replace_file
from easee_load_balancer.system.settings import Settings
from tasks.run import Run

_KNOWN: dict[str, Alerts] = {}
"""As last stored, by site."""


def send_alerts(snapshot: Snapshot, run: Run) -> None:
    """Send an event for each condition that has lasted long enough; none without Prefect.

    What was sent is stored in the data folder, for a process that starts later.
    """
    if run.alone:
        return
    path = Settings().folder / f"alerts-{snapshot.site}.json"
    before = _KNOWN.get(snapshot.site) or _load(path)
    after, tell = before.after(snapshot.at, conditions(snapshot))
    for alert, sentence in tell.items():
        emit_event(
            f"easee-balancer.{alert}",
            resource={
                "prefect.resource.id": f"easee-balancer.site.{snapshot.site}",
                "prefect.resource.name": snapshot.site,
            },
            payload={"sentence": sentence},
        )
    _KNOWN[snapshot.site] = after
    if after != before:
        _save(after, path)


def _load(path: Path) -> Alerts:
    """What is stored; nothing where that cannot be read."""
    with suppress(OSError, ValidationError):
        return Alerts.model_validate_json(path.read_bytes())
    return Alerts()


def _save(alerts: Alerts, path: Path) -> None:
    """Replace the file; where that fails, a later process tells the owner once more."""
    with suppress(OSError):
        replace_file(path, alerts.model_dump_json().encode(), durable=False)
