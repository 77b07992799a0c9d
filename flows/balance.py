"""The control cycle: scheduled every few seconds, all day."""

from __future__ import annotations

from asyncio import gather
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.devices.connections import CONNECTIONS
from easee_load_balancer.errors import (
    BalancerError,
    ChargerError,
    ChargerUnreachable,
    HistoryError,
    InvalidAnswer,
)
from easee_load_balancer.history.store import Cycle
from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint
from easee_load_balancer.orchestration.blocks import Site, SiteName
from easee_load_balancer.reports.cycle_text import cycle_line
from easee_load_balancer.system.locks import SiteBusy, Word, only_writer
from easee_load_balancer.system.settings import Settings
from tasks.boost import obey_boost
from tasks.charger import push_setpoint, read_charger
from tasks.history import Past, known_past, load_past, record_cycle
from tasks.inverter import read_inverter
from tasks.run import Run, completed, failed, superseded
from tasks.setpoint import compute_setpoint


@flow(name="balance", flow_run_name="balance {site}", timeout_seconds=28, persist_result=False)
async def balance(
    site: SiteName = Site.DEFAULT, latest_start_s: Annotated[int, Field(ge=1)] = 30
) -> State[Decision]:
    """One control cycle: read the house, decide, tell the charger, remember.

    Args:
        site: Name of the blocks that describe the home.
        latest_start_s: A cycle that starts later than this many seconds after it was due does
            nothing; a newer one is about to run.
    """
    run = Run.current()
    if run.delay > timedelta(seconds=latest_start_s):
        return await superseded(f"it was due {run.delay.total_seconds():.0f} s ago")
    try:
        setup = Site.last_known(site) if run.alone else await Site.load(site)
        with only_writer(Settings().folder, site) as word:
            async with CONNECTIONS.held():
                cycle = await _cycle(setup, run, word)
    except SiteBusy as busy:
        return await superseded(str(busy))
    except BalancerError as error:
        return await failed(str(error))
    if cycle is None:
        return await superseded("a newer cycle has run already")
    return await _end(cycle)


async def _cycle(setup: Site, run: Run, word: Word) -> _Done | None:
    """Read, decide, push and record; None, and nothing is touched, where a newer one has run.

    What fails on the way is collected: the fuse is protected with what is left.
    """
    failures: list[str] = []
    past = await _past(setup.name, failures)
    last = past.last
    if last is not None and last.replaces(run.scheduled_at, run.started_at):
        return None
    if last is None and failures:
        state = ControllerState.lost(run.started_at)
    else:
        state = ControllerState.model_validate(last.controller_state) if last else ControllerState()
    state = state.after_crash(word.left)
    house = await _read_house(setup, failures, night=state.is_night(run.started_at))
    now = datetime.now(UTC)
    boost = await _boost(past, now, house.charger, failures)
    inputs = CycleInputs(now, house.inverter, house.charger, setup.policy, boost=boost)
    decision = compute_setpoint(inputs, state)
    if decision.push and decision.setpoint is not None:
        word.leave(ControllerState.pending_record(decision.setpoint, now))
        decision = await _push(setup, decision, decision.setpoint, now, failures)
    run.log(cycle_line(house.inverter, house.charger, setup.policy, decision))
    cycle = Cycle.of(
        site=setup.name,
        scheduled_at=run.scheduled_at,
        at=now,
        run_id=str(run.id or "without Prefect"),
        mode="boost" if boost else setup.policy.mode,
        inverter=house.inverter,
        charger=house.charger,
        decision=decision,
        failure=" ".join(failures) or None,
    )
    try:
        await record_cycle(cycle, setup.charger)
    except HistoryError as error:
        failures.append(f"{decision.reason}. {error}")
    word.leave("")
    return _Done(decision, " ".join(failures) or None, house.inverter.asleep)


async def _past(site: str, failures: list[str]) -> Past:
    try:
        return await load_past(site)
    except HistoryError as error:
        failures.append(str(error))
        return known_past(site)


async def _boost(
    past: Past, now: datetime, charger: ChargerState, failures: list[str]
) -> Boost | None:
    """The boost that counts for this cycle; as last recorded where that cannot be done now."""
    if past.boost is None:
        return None
    try:
        return await obey_boost(past.boost, now, charger)
    except HistoryError as error:
        failures.append(str(error))
        return None if past.boost.boost.ended(now) else past.boost.boost


async def _push(
    setup: Site, decision: Decision, setpoint: Setpoint, now: datetime, failures: list[str]
) -> Decision:
    """Send the setpoint; the decision with what is known of it then."""
    try:
        await push_setpoint(setup.charger, setpoint)
    except ChargerError as error:
        failures.append(str(error))
        in_doubt = isinstance(error, ChargerUnreachable | InvalidAnswer)
        return decision.unconfirmed(now) if in_doubt else decision
    return decision.pushed(now)


async def _end(cycle: _Done) -> State[Decision]:
    if cycle.failure:
        return await failed(cycle.failure)
    name = "Asleep" if cycle.asleep else None
    return await completed(cycle.decision.reason, cycle.decision, name=name)


@dataclass(frozen=True, slots=True)
class _Done:
    decision: Decision
    failure: str | None
    asleep: bool


@dataclass(frozen=True, slots=True)
class _House:
    inverter: InverterReading
    charger: ChargerState


async def _read_house(setup: Site, failures: list[str], *, night: bool) -> _House:
    """Inverter and charger at the same time; what could not be read is unknown."""
    inverter, charger = await gather(
        read_inverter(setup.inverter, night=night),
        read_charger(setup.charger),
        return_exceptions=True,
    )
    for result in (inverter, charger):
        if isinstance(result, BalancerError):
            failures.append(str(result))
        elif isinstance(result, BaseException):
            raise result
    now = datetime.now(UTC)
    return _House(
        inverter if isinstance(inverter, InverterReading) else InverterReading.unknown(now),
        charger if isinstance(charger, ChargerState) else ChargerState.unknown(now),
    )
