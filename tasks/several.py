"""A control cycle in a home with several chargers: one decision for all of them."""

from __future__ import annotations

from asyncio import gather
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from prefect.client.schemas.objects import State

from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.several.as_one import chargers_as_one, decision_as_one, holding
from easee_load_balancer.control.several.cars import OneOfSeveral
from easee_load_balancer.control.several.controller import SharedState, Together
from easee_load_balancer.control.several.sending import SendingOrder, pending_by_id
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.errors import ChargerError, HistoryError
from easee_load_balancer.history.tables import Cycle
from easee_load_balancer.measurements import ChargerState
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.other_chargers import Chargers, NamedCharger
from easee_load_balancer.reports.cycle_text import cycle_line
from easee_load_balancer.system.site_writer import Writer
from tasks.battery import keep_battery
from tasks.battery_outlook import battery_wanted_wh
from tasks.boost import present_boost
from tasks.charger import push_ceiling, push_setpoint, push_share
from tasks.cycle import commands, cycle_row, end_cycle, read_house, sent
from tasks.failures import Failures
from tasks.history import StoredState, load_state, record_cycle, state_before, state_in_memory
from tasks.plan_requests import ask_if_due
from tasks.planned import Planned, of_all, planned
from tasks.prices import law_prices
from tasks.run import Run, superseded
from tasks.setpoint import compute_setpoints
from tasks.snapshot import snapshot_of, tell_of

_TOGETHER = "together"
"""Beside the state of the first charger: what the cycle leaves for all of them."""


async def cycle_of_several(
    setup: Site, chargers: Chargers, run: Run, writer: Writer, zone: ZoneInfo
) -> State[Decision]:
    """Read, decide for all, push and record; what fails is unknown to the steps after it."""
    failures, battery = Failures(), Failures()
    keys = [one.state_key for one in chargers.all]
    pasts = await gather(*(failures.or_else(state_in_memory(key), load_state(key)) for key in keys))
    last = pasts[0].last
    if last is not None and last.replaces(run.scheduled_at, run.started_at):
        return await superseded("a newer cycle has run already")
    befores = [state_before(past, run.started_at, lost=bool(failures)) for past in pasts]
    states = _after_crash(chargers, befores, writer.pending)
    pairs = [(one.address, state) for one, state in zip(chargers.all, states, strict=True)]
    inverter, read = await read_house(setup, pairs, run, failures)
    now = datetime.now(UTC)
    prices = await law_prices(setup, zone, now)
    known = [_Known(*each) for each in zip(chargers.all, pasts, states, read, strict=True)]
    plans = [
        await planned(setup, one, zone, past, now, charger, state, failures)
        for one, past, state, charger in known
    ]
    plan, wanted_wh = of_all(chargers, plans), await battery_wanted_wh(setup, zone, now)
    common = CycleInputs(
        *(now, inverter, read[0], setup.policy, prices),
        car_limit=plan.car_limit,
        peak=plan.peak,
        battery_wanted_wh=wanted_wh,
    )
    ones = [await _one(each, own, common, failures) for each, own in zip(known, plans, strict=True)]
    together = compute_setpoints(ones, _shared(pasts[0]))
    decisions, shared, hold = list(together.decisions), together.state, holding(together.decisions)
    order = SendingOrder.of(together, chargers.circuits)
    record = order.record([one.address.charger_id for one in chargers.all], decisions, now)
    async with commands(writer, setup, hold, record, failures) as may:
        if may:
            (decisions, shared), _ = await gather(
                _Sender(setup, chargers, now, failures).send(order, together),
                battery.or_else(None, keep_battery(setup.inverter, setup.name, inverter, hold)),
            )
    for one, charger, decision in zip(chargers.all, read, decisions, strict=True):
        run.log(f"{one.name}: {cycle_line(inverter, charger, one.policy, decision)}")
    names = [one.name for one in chargers.all]
    whole = decision_as_one(names, decisions, together.surplus_w)
    whole = whole.warned(str(battery)) if battery else whole
    seen = replace(ones[0].inputs, charger=chargers_as_one(read))
    home = cycle_row(setup.name, run, seen, whole, str(failures))
    home.controller_state |= {_TOGETHER: shared.model_dump(mode="json")}
    parts = _rows_of_each(chargers, run, ones, decisions, str(failures))
    try:
        await record_cycle(home, setup.credentials, parts)
    except HistoryError as error:
        failures.add(f"{whole.reason}. {error}")
    await writer.done()
    after = [decision.state for decision in decisions]
    await ask_if_due(setup, run, zip(plans, after, strict=True))
    await tell_of(setup, run, zone, snapshot_of(setup, run, seen, whole, home, plan))
    return await end_cycle(whole, inverter, failures)


class _Known(NamedTuple):
    """What is known of a charger before the cycle decides."""

    one: NamedCharger
    past: StoredState
    state: ControllerState
    read: ChargerState


async def _one(
    known: _Known, own: Planned, common: CycleInputs, failures: Failures
) -> OneOfSeveral:
    """The charger with its own inputs; `common`: those of all."""
    one, past, state, charger = known
    boost = await present_boost(past, common.now, charger, failures)
    inputs = replace(common, charger=charger, policy=one.policy, boost=boost, grid=own.grid)
    return OneOfSeveral(one.name, one.priority, one.address.circuit_id, inputs, state)


def _rows_of_each(
    chargers: Chargers,
    run: Run,
    ones: Sequence[OneOfSeveral],
    decisions: Sequence[Decision],
    failure: str,
) -> list[Cycle]:
    """The rows of the single chargers in the history."""
    rows = [
        cycle_row(charger.key, run, one.inputs, decision, failure)
        for charger, one, decision in zip(chargers.all, ones, decisions, strict=True)
    ]
    rows[0].controller_state = {}  # it is with the home's cycles
    return rows


def _shared(past: StoredState) -> SharedState:
    stored = past.last.controller_state.get(_TOGETHER) if past.last is not None else None
    return SharedState.model_validate(stored or {})


def _after_crash(
    chargers: Chargers, states: Sequence[ControllerState], record: str
) -> list[ControllerState]:
    """The states with what a killed cycle was sending."""
    pending = pending_by_id(record)
    return [
        state.after_crash(pending.get(one.address.charger_id, ""))
        for one, state in zip(chargers.all, states, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Sender:
    """Sends the commands of a cycle in their order."""

    setup: Site
    chargers: Chargers
    now: datetime
    failures: Failures

    async def send(
        self, order: SendingOrder, together: Together
    ) -> tuple[list[Decision], SharedState]:
        """The decisions and the shared state with what is known of the commands then."""
        decisions, shared = list(together.decisions), together.state
        for circuit, amps in order.ceilings.items():
            if await self._ceiling(circuit, amps):
                shared = shared.sent(circuit, amps, self.now)
        for some in (order.lowers, order.raises):
            done = await gather(*(self._push(k, decisions[k]) for k in some))
            for k, decision in zip(some, done, strict=True):
                decisions[k] = decision
        return decisions, shared

    async def _ceiling(self, circuit: int, amps: int) -> bool:
        first = next(one for one in self.chargers.all if one.address.circuit_id == circuit)
        try:
            await push_ceiling(first.address, self.setup.credentials, amps)
        except ChargerError as error:
            self.failures.add(str(error))
            return False
        return True

    async def _push(self, k: int, decision: Decision) -> Decision:
        one, setpoint = self.chargers.all[k], decision.setpoint
        if setpoint is None:
            return decision
        login, urgent = self.setup.credentials, decision.lowers
        if self.chargers.circuits.count(one.address.circuit_id) > 1:
            amps = setpoint.current_a
            command = push_share(one.name, one.address, login, amps, urgent=urgent)
        else:
            command = push_setpoint(one.address, login, setpoint, urgent=urgent)
        return await sent(decision, command, self.now, self.failures, one.name)
