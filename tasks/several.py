"""A control cycle in a home with several chargers: one decision for all of them."""

from __future__ import annotations

import json
from asyncio import gather
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from prefect.client.schemas.objects import State

from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.several.cars import OneOfSeveral
from easee_load_balancer.control.several.controller import SharedState, Together
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.errors import (
    ChargerError,
    HistoryError,
)
from easee_load_balancer.history.tables import Cycle
from easee_load_balancer.measurements import (
    BatteryHold,
    ChargerMode,
    ChargerState,
)
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.other_chargers import Chargers
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
from tasks.planned import of_all, planned
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
    known = list(zip(chargers.all, pasts, states, read, strict=True))
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
    ones = []
    for (one, past, state, charger), own in zip(known, plans, strict=True):
        boost = await present_boost(past, now, charger, failures)
        inputs = replace(common, charger=charger, policy=one.policy, boost=boost, grid=own.grid)
        ones.append(OneOfSeveral(one.name, one.priority, one.address.circuit_id, inputs, state))
    together = compute_setpoints(ones, _shared(pasts[0]))
    sender = _Sender(setup, chargers, now, failures, together)
    decisions, shared, holding = together.decisions, together.state, _holding(together.decisions)
    async with commands(writer, setup, holding, sender.record, failures) as may:
        if may:
            (decisions, shared), _ = await gather(
                sender.send(),
                battery.or_else(None, keep_battery(setup.inverter, setup.name, inverter, holding)),
            )
    for one, charger, decision in zip(chargers.all, read, decisions, strict=True):
        run.log(f"{one.name}: {cycle_line(inverter, charger, one.policy, decision)}")
    whole = _combined(chargers, decisions, together.surplus_w)
    whole = whole.warned(str(battery)) if battery else whole
    seen = replace(ones[0].inputs, charger=_all_cars(read))
    rows = _Rows(setup, chargers, run, ones, str(failures))
    home = rows.home(seen, whole, shared)
    try:
        await record_cycle(home, setup.credentials, rows.parts(decisions))
    except HistoryError as error:
        failures.add(f"{whole.reason}. {error}")
    await writer.done()
    after = [decision.state for decision in decisions]
    await ask_if_due(setup, run, zip(plans, after, strict=True))
    await tell_of(setup, run, zone, snapshot_of(setup, run, seen, whole, home, plan))
    return await end_cycle(whole, inverter, failures)


def _shared(past: StoredState) -> SharedState:
    stored = past.last.controller_state.get(_TOGETHER) if past.last is not None else None
    return SharedState.model_validate(stored or {})


def _after_crash(
    chargers: Chargers, states: Sequence[ControllerState], record: str
) -> list[ControllerState]:
    """The states with what a killed cycle was sending."""
    pending = _pending(record)
    return [
        state.after_crash(pending.get(one.address.charger_id, ""))
        for one, state in zip(chargers.all, states, strict=True)
    ]


def _pending(record: str) -> Mapping[str, str]:
    """The commands that a killed cycle was sending, by the charger's id."""
    with suppress(ValueError):
        found = json.loads(record)
        if isinstance(found, dict):
            return {key: value for key, value in found.items() if isinstance(value, str)}
    return {}


@dataclass(frozen=True, slots=True)
class _Sender:
    """Sends the commands of a cycle: what lowers a current first, then what raises one.

    A circuit gets no more commands in a cycle than it has chargers: with its ceiling due, raises
    wait for the next cycle.
    """

    setup: Site
    chargers: Chargers
    now: datetime
    failures: Failures
    together: Together

    @property
    def record(self) -> str:
        """What is to be sent, in case this cycle is killed; empty if nothing is."""
        sent = (*self._lowers, *self._raises)
        if not sent:
            return "{}" if self._ceilings else ""
        decisions = self.together.decisions
        return json.dumps({self._id(k): _record(decisions[k], self.now) for k in sent})

    async def send(self) -> tuple[tuple[Decision, ...], SharedState]:
        """The decisions and the shared state with what is known of the commands then."""
        decisions, shared = list(self.together.decisions), self.together.state
        for circuit, amps in self._ceilings.items():
            if await self._ceiling(circuit, amps):
                shared = shared.sent(circuit, amps, self.now)
        for some in (self._lowers, self._raises):
            done = await gather(*(self._push(k, decisions[k]) for k in some))
            for k, decision in zip(some, done, strict=True):
                decisions[k] = decision
        return tuple(decisions), shared

    @property
    def _due(self) -> list[int]:
        decisions = enumerate(self.together.decisions)
        return [k for k, one in decisions if one.push and one.setpoint is not None]

    @property
    def _lowers(self) -> list[int]:
        return [k for k in self._due if _lowers(self.together.decisions[k])]

    @property
    def _ceilings(self) -> dict[int, int]:
        lowers = self._lowers
        return {
            circuit: amps
            for circuit, amps in self.together.ceilings.items()
            if not all(k in lowers for k in self._on(circuit))
        }

    @property
    def _raises(self) -> list[int]:
        waiting = self._ceilings
        return [
            k for k in self._due if k not in self._lowers and self._circuit_of(k) not in waiting
        ]

    async def _ceiling(self, circuit: int, amps: int) -> bool:
        first = self.chargers.all[self._on(circuit)[0]]
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
        if len(self._on(self._circuit_of(k))) > 1:
            amps = setpoint.current_a
            command = push_share(one.name, one.address, login, amps, urgent=urgent)
        else:
            command = push_setpoint(one.address, login, setpoint, urgent=urgent)
        return await sent(decision, command, self.now, self.failures, one.name)

    def _id(self, k: int) -> str:
        return self.chargers.all[k].address.charger_id

    def _circuit_of(self, k: int) -> int:
        return self.chargers.all[k].address.circuit_id

    def _on(self, circuit: int) -> list[int]:
        """The chargers of a circuit."""
        return [k for k in range(len(self.chargers.all)) if self._circuit_of(k) == circuit]


def _lowers(decision: Decision) -> bool:
    before, after = decision.state.setpoint, decision.setpoint
    return before is not None and after is not None and after.power_w(1) < before.power_w(1)


def _record(decision: Decision, now: datetime) -> str:
    if decision.setpoint is None:
        return ""
    return ControllerState.pending_record(decision.setpoint, now)


def _holding(decisions: Sequence[Decision]) -> Decision:
    """The decision that wants the battery held, if any does."""
    held = (one for one in decisions if one.state.hold is not BatteryHold.FREE)
    return next(held, decisions[0])


def _combined(
    chargers: Chargers, decisions: Sequence[Decision], surplus_w: float | None
) -> Decision:
    """All decisions as one, for the name of the run and the home's own row."""
    named = list(zip(chargers.all, decisions, strict=True))
    notes = [f"{one.name}: {each.attention}" for one, each in named if each.attention]
    return replace(
        decisions[0],
        push=any(one.push for one in decisions),
        reason=" | ".join(f"{one.name} {each.reason}" for one, each in named),
        surplus_w=surplus_w,
        attention="; ".join(notes) or None,
    )


def _all_cars(read: Sequence[ChargerState]) -> ChargerState:
    """All chargers as one: the power of all cars; charging where any of them charges."""
    powers = [one.car_w for one in read]
    known = [watts for watts in powers if watts is not None]
    shown = next((one for one in read if one.mode is ChargerMode.CHARGING), read[0])
    return replace(
        shown,
        car_w=sum(known) if len(known) == len(powers) else None,
        output_phases=max((one.output_phases or 0 for one in read), default=0),
        session_kwh=None,
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of this cycle in the history."""

    setup: Site
    chargers: Chargers
    run: Run
    ones: Sequence[OneOfSeveral]
    failure: str

    def home(self, seen: CycleInputs, whole: Decision, shared: SharedState) -> Cycle:
        """All cars together, with the state of the first charger and that of all."""
        row = cycle_row(self.setup.name, self.run, seen, whole, self.failure)
        together = {_TOGETHER: shared.model_dump(mode="json")}
        row.controller_state = whole.state.model_dump(mode="json") | together
        return row

    def parts(self, decisions: Sequence[Decision]) -> list[Cycle]:
        """Each charger for itself."""
        rows = [
            cycle_row(charger.key, self.run, one.inputs, decision, self.failure)
            for charger, one, decision in zip(self.chargers.all, self.ones, decisions, strict=True)
        ]
        rows[0].controller_state = {}  # it is with the home's cycles
        return rows
