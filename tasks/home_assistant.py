"""Telling Home Assistant what a cycle has done, and obeying it. Nothing without an MQTT broker."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.errors import BalancerError, ConfigurationError
from easee_load_balancer.history.store import History
from easee_load_balancer.integrations.commands import (
    BoostRequest,
    CancelReadyBy,
    Command,
    ReadyByRequest,
    SettingChange,
)
from easee_load_balancer.integrations.entities import TODAY
from easee_load_balancer.integrations.inbound import Reported
from easee_load_balancer.integrations.link import LinkSettings
from easee_load_balancer.integrations.links import LINKS
from easee_load_balancer.integrations.snapshot import Snapshot, Today
from easee_load_balancer.orchestration.blocks import Tariff
from easee_load_balancer.orchestration.remote_control import RemoteControl
from easee_load_balancer.periods import Period, bounds, time_zone_called
from tasks.history import in_time
from tasks.inbound import take
from tasks.planned import seen_session_kwh
from tasks.run import Run

_LONGEST_S = 1.0
"""How long a cycle in a process of its own takes for the broker."""


async def tell_home_assistant(snapshot: Snapshot, run: Run) -> None:
    """Hand the cycle over to the site's link.

    Where no link outlives the cycle, as in a pool of type `process`, publish it within a second or
    not at all.
    """
    if LINKS.kept:
        LINKS.hand_over(snapshot, lambda: _Home(snapshot.site))
    elif not run.alone:  # without Prefect, there is no block to look up
        await publish_in_time(snapshot)


async def publish_in_time(snapshot: Snapshot) -> None:
    """Publish with a connection of its own within a second, or not at all."""
    with suppress(BalancerError, TimeoutError):
        async with asyncio.timeout(_LONGEST_S):
            await _publish(snapshot)


async def _publish(snapshot: Snapshot) -> None:
    settings = await RemoteControl(snapshot.site).settings()
    if settings is not None:
        from easee_load_balancer.integrations.one_off import publish_once

        await publish_once(settings, snapshot)


@dataclass(frozen=True, slots=True)
class _Home:
    """A site, for its link."""

    site: str

    async def settings(self) -> LinkSettings | None:
        return await RemoteControl(self.site).settings()

    async def today(self) -> Today:
        zone = await RemoteControl(self.site).time_zone()
        prices = await Tariff.of_site(self.site)
        now = datetime.now(UTC)
        return await in_time(
            self.site, lambda history: _today(history, self.site, zone, prices, now)
        )

    async def obey(self, command: Command | Reported) -> Policy | None:
        """Carry out the command; returns the policy if it has changed. Raises BalancerError."""
        remote = RemoteControl(self.site)
        if isinstance(command, Reported):
            await take(self.site, command, seen_session_kwh(self.site))
            return None
        if isinstance(command, SettingChange):
            return await remote.change_policy(command)
        if isinstance(command, BoostRequest):
            await remote.begin_boost(command.until)
            return None
        if isinstance(command, ReadyByRequest):
            await remote.begin_ready_by(command.ready)
            return None
        boost, departure, _ = await in_time(self.site, lambda history: history.requests(self.site))
        row = departure if isinstance(command, CancelReadyBy) else boost
        if row is None:
            what = "departure" if isinstance(command, CancelReadyBy) else "boost"
            raise ConfigurationError(f"there is no {what} to cancel.")
        await remote.cancel_run(row.run_id)
        return None


def _today(
    history: History, site: str, time_zone: str, prices: Prices | None, now: datetime
) -> Today:
    """The energy of the local day so far. Raises HistoryError."""
    from easee_load_balancer.reports.summary import sum_up  # pandas, which a cycle does not need

    zone = time_zone_called(time_zone)
    day = now.astimezone(zone).date()
    summary = sum_up(history, site, Period.between(day, day, zone), prices, now)
    return Today(
        since=bounds(day, zone)[0],
        kwh={name: getattr(summary.total, name) for name in TODAY},
        saved=summary.total.saved,
        cloud_calls=sum(summary.cloud_calls.values()),
    )
