"""The control cycle: scheduled every few seconds, all day."""

from __future__ import annotations

from asyncio import gather
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from prefect import flow
from prefect.client.schemas.objects import State

from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.devices.connections import CONNECTIONS
from easee_load_balancer.errors import BalancerError, HistoryError
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.other_chargers import Chargers
from easee_load_balancer.orchestration.parameters import SiteName, TimeZone, shown
from easee_load_balancer.periods import time_zone_called
from easee_load_balancer.reports.cycle_text import cycle_line
from easee_load_balancer.system.locks import SiteBusy
from easee_load_balancer.system.site_writer import Writer, site_writer
from tasks.battery import keep_battery
from tasks.battery_outlook import battery_wanted_wh
from tasks.boost import present_boost
from tasks.charger import push_setpoint
from tasks.cycle import commands, cycle_row, end_cycle, read_house, sent
from tasks.failures import Failures
from tasks.history import load_state, record_cycle, state_before, state_in_memory
from tasks.plan_requests import ask_if_due
from tasks.planned import planned
from tasks.prices import law_prices
from tasks.run import Run, failed, superseded
from tasks.setpoint import compute_setpoint
from tasks.several import cycle_of_several
from tasks.snapshot import snapshot_of, tell_of


@flow(name="balance", timeout_seconds=28, persist_result=False)
async def balance(
    site: SiteName = Site.DEFAULT,
    latest_start_s: Annotated[int, shown("Latest start (s)", 30, ge=1, le=3600)] = 30,
    time_zone: TimeZone = "Europe/Stockholm",
) -> State[Decision]:
    """One control cycle: read the house, decide, tell the charger, remember.

    Args:
        site: Name of the blocks that describe the home.
        latest_start_s: A cycle that starts later than this many seconds after it was due does
            nothing; a newer one is about to run.
        time_zone: IANA name of the home's time zone, for prices by hour.
    """
    run = Run.current()
    if run.delay > timedelta(seconds=latest_start_s):
        return await superseded(f"it was due {run.delay.total_seconds():.0f} s ago")
    try:
        zone = time_zone_called(time_zone)
        setup = Site.last_known(site) if run.alone else await Site.load(site)
        async with site_writer(site) as writer, CONNECTIONS.held():
            return await _cycle(setup, run, writer, zone)
    except SiteBusy as busy:
        return await superseded(str(busy))
    except BalancerError as error:
        return await failed(str(error))


async def _cycle(setup: Site, run: Run, writer: Writer, zone: ZoneInfo) -> State[Decision]:
    """Read, decide, push and record; what fails on the way is unknown to the steps after it."""
    chargers = Chargers.of(setup)
    if chargers.several:
        return await cycle_of_several(setup, chargers, run, writer, zone)
    failures, battery = Failures(), Failures()
    past = await failures.or_else(state_in_memory(setup.name), load_state(setup.name))
    if past.last is not None and past.last.replaces(run.scheduled_at, run.started_at):
        return await superseded("a newer cycle has run already")
    state = state_before(past, run.started_at, lost=bool(failures)).after_crash(writer.pending)
    inverter, [charger] = await read_house(setup, [(setup.charger, state)], run, failures)
    now = datetime.now(UTC)
    boost = await present_boost(past, now, charger, failures)
    prices = await law_prices(setup, zone, now)
    plan = await planned(setup, chargers.all[0], zone, past, now, charger, state, failures)
    inputs = CycleInputs(
        *(now, inverter, charger, setup.policy, prices, boost),
        grid=plan.grid,
        car_limit=plan.car_limit,
        peak=plan.peak,
        battery_wanted_wh=await battery_wanted_wh(setup, zone, now),
    )
    decision = compute_setpoint(inputs, state)
    async with commands(writer, setup, decision, decision.pending_record(now), failures) as may:
        if may:
            decision, _ = await gather(
                _push(setup, decision, now, failures),
                battery.or_else(None, keep_battery(setup.inverter, setup.name, inverter, decision)),
            )
    decision = decision.warned(str(battery)) if battery else decision
    run.log(cycle_line(inverter, charger, setup.policy, decision))
    cycle = cycle_row(setup.name, run, inputs, decision, str(failures))
    try:
        await record_cycle(cycle, setup.credentials)
    except HistoryError as error:
        failures.add(f"{decision.reason}. {error}")
    await writer.done()
    await ask_if_due(setup, run, [(plan, decision.state)])
    await tell_of(setup, run, zone, snapshot_of(setup, run, inputs, decision, cycle, plan))
    return await end_cycle(decision, inverter, failures)


async def _push(
    setup: Site,
    decision: Decision,
    now: datetime,
    failures: Failures,
) -> Decision:
    """Send a new setpoint; the decision with what is known of it then."""
    if not decision.push or decision.setpoint is None:
        return decision
    command = push_setpoint(
        setup.charger, setup.credentials, decision.setpoint, urgent=decision.lowers
    )
    return await sent(decision, command, now, failures)


if __name__ == "__main__":
    from easee_load_balancer.commands.prefect_server import run_once

    run_once(balance)
