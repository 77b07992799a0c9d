"""Asking for a charging plan: every quarter-hour, when a car comes, when a departure is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

from easee_load_balancer.control.departures import ReadyBy
from easee_load_balancer.control.power_estimate import NOMINAL_VOLTAGE_V
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.errors import BalancerError, ConfigurationError
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.other_chargers import NamedCharger
from easee_load_balancer.orchestration.remote_control import RemoteControl
from easee_load_balancer.periods import quarter_of
from tasks.planned import Planned
from tasks.run import Run

_SERVER_S = 3.0
"""How long a cycle waits for the server."""
_ASKED: dict[str, datetime] = {}
"""When each site last asked in this process."""


async def ask_if_due(
    setup: Site, run: Run, cars: Iterable[tuple[Planned, ControllerState]]
) -> None:
    """Ask the server for a plan where one is wanted and due; a cycle never fails for that."""
    wanted = [(plan, state) for plan, state in cars if plan.wanted]
    if run.alone or not (wanted or setup.tariff.is_dynamic):
        return
    now = datetime.now(UTC)
    since = [quarter_of(now)]
    since += [state.session_at for _, state in wanted if state.session_at is not None]
    since += [plan.departure.started_at for plan, _ in wanted if plan.departure is not None]
    reason = max(moment for moment in since if moment <= now)
    asked_at = _ASKED.get(setup.name)
    if asked_at is not None and reason <= asked_at <= now:  # later: the clock has been set back
        return
    _ASKED[setup.name] = now
    await ask_for_plan(setup.name, run, reason)


async def ask_for_plan(site: str, run: Run, reason: datetime) -> None:
    """Start the deployment of `plan`, once for each reason; the next quarter-hour tries again."""
    try:
        async with asyncio.timeout(_SERVER_S):
            await RemoteControl(site).begin_plan(f"plan-{site}-{reason.timestamp():.0f}")
    except (BalancerError, TimeoutError) as error:
        run.log(f"No charging plan is made now. {error or 'The Prefect server is slow.'}")


def for_charger(asked: ReadyBy, one: NamedCharger, now: datetime) -> ReadyBy:
    """The departure of this charger's car, with what is possible until then where that is less.

    Raises ConfigurationError for a state of charge that nobody tells.
    """
    if asked.soc_pct is not None and not one.hears_of_soc:
        raise ConfigurationError(f"The state of charge at {one.name} is not known: ask for kWh.")
    policy = one.policy
    most_w = policy.max_current_a * max(policy.phase_counts) * NOMINAL_VOLTAGE_V
    if policy.max_power_w is not None:
        most_w = min(most_w, policy.max_power_w)
    return asked.model_copy(update={"charger": one.name}).within(most_w, now)
