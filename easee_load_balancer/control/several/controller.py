"""One decision for each of several chargers of a home, taken together.

The law of a single car decides for each, with its share of the surplus, of the main fuse and of
its circuit: so all of its protections hold for every charger. Pure, like that law.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import inf

from pydantic import AwareDatetime, BaseModel, ConfigDict

from easee_load_balancer.control.behaviour import car_is_absent
from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.power_estimate import PowerRange
from easee_load_balancer.control.power_limits import calm_raise, peak_named
from easee_load_balancer.control.several.capacity import Capacity, Demand
from easee_load_balancer.control.several.cars import Car, OneOfSeveral, Part
from easee_load_balancer.control.several.circuits import Ceiling, ceilings_due
from easee_load_balancer.control.several.configurations import (
    Configuration,
    Range,
    Weigher,
    behind,
    best_of,
    candidates,
    key_of,
    ranks,
    spread,
)
from easee_load_balancer.control.several.sun import planned_targets, shared_sun
from easee_load_balancer.control.share import Share
from easee_load_balancer.control.state import Choice, ControllerState
from easee_load_balancer.control.state_update import LONGEST_CYCLE
from easee_load_balancer.measurements import MIN_CURRENT_A, Setpoint

_MOST_TOGETHER = 6
"""More cars than this are not weighed together; the last ones take what is left over."""
_TOGETHER = timedelta(seconds=120)
"""Changes of two cars within this time cannot be told apart at the meter."""


class SharedState(BaseModel):
    """What a cycle leaves for the next beside the state of each charger."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    present: str = ""
    """The configuration of the last cycle."""
    assessed_at: AwareDatetime | None = None
    benefit_wh: dict[str, float] = {}
    """What each other configuration would have gained so far."""
    ceilings: dict[int, Ceiling] = {}
    """What the shared circuits have accepted."""

    def sent(self, circuit: int, current_a: int, now: AwareDatetime) -> SharedState:
        """The state once a circuit has accepted its ceiling."""
        ceiling = Ceiling(current_a=current_a, sent_at=now)
        return self.model_copy(update={"ceilings": self.ceilings | {circuit: ceiling}})


@dataclass(frozen=True, slots=True)
class Together:
    """The decisions for all chargers, in the order of the inputs."""

    decisions: tuple[Decision, ...]
    state: SharedState
    ceilings: Mapping[int, int] = field(default_factory=dict)
    """Currents in A that have to be sent to shared circuits now, before anything else."""
    surplus_w: float | None = None
    """What there is for all cars that charge from the surplus."""


def decide_together(ones: Sequence[OneOfSeveral], shared: SharedState) -> Together:
    """The setpoints for the present readings; a single charger gets what the law alone decides."""
    if len(ones) == 1:
        return Together((decide(ones[0].inputs, ones[0].state),), shared)
    numbers, ones = [one.circuit for one in ones], _dimmed(ones)
    cars = [Car.of(one, shares_circuit=numbers.count(one.circuit) > 1) for one in ones]
    plan = _Plan(cars, Capacity.of(cars))
    shared = plan.weigh(shared)
    decisions = plan.decide()
    return Together(decisions, shared, plan.ceilings(shared, decisions), plan.surplus_w)


class _Plan:
    """What one cycle finds out about all cars, step by step."""

    def __init__(self, cars: Sequence[Car], capacity: Capacity) -> None:
        self._cars = cars
        self._capacity = capacity
        sharing = [k for k, car in enumerate(cars) if car.part is Part.SHARES]
        by_priority = sorted(sharing, key=lambda k: cars[k].one.priority)
        self._sharing = sorted(by_priority[:_MOST_TOGETHER])
        self._members = [cars[k] for k in self._sharing]
        self._present: Configuration = tuple(car.choice for car in self._members)
        self._configuration = self._present
        self._benefit_wh = 0.0
        self._sun = shared_sun(cars)
        self._planned, self._surplus = planned_targets(cars, self._sun)
        self._at_peak: Collection[int] = ()
        self._more = 1 - self._members[0].case.solar_share if self._members else 0.0

    @property
    def surplus_w(self) -> float | None:
        """What there is for all cars that charge from it."""
        return None if self._sun is None else self._sun.middle_w

    # --- which cars charge ---

    def weigh(self, shared: SharedState) -> SharedState:
        """Add up what the other configurations would have gained; take one that has enough."""
        names = [car.one.name for car in self._members]
        present = key_of(names, self._present)
        known_wh = dict(shared.benefit_wh) if shared.present == present else {}
        if not self._members or self._surplus is None:
            return shared.model_copy(update={"present": present, "benefit_wh": {}})
        now, then = self._members[0].case.inputs.now, shared.assessed_at
        hours = min(now - then, LONGEST_CYCLE) / timedelta(hours=1) if then and then < now else 0.0
        own_ranks = ranks(self._members)
        weight = self._members[0].case.grid_weight
        weigher = Weigher(own_ranks, weight, self._more, behind(self._members))
        surplus_w = self._surplus.middle_w
        worth_w = {
            one: weigher.worth_w(ranges, surplus_w)
            for one in candidates(self._members)
            if (ranges := self._ranges(one)) is not None
        }
        present_w = worth_w.get(self._present)
        gained: dict[Configuration, float] = {}
        for one, watts in worth_w.items():
            if one == self._present:
                continue
            before_wh = known_wh.get(key_of(names, one), 0.0)
            gain_wh = (watts - present_w) * hours if present_w is not None else 0.0
            gained[one] = max(0.0, before_wh + (gain_wh if self._surplus.known else 0.0))
        self._choose(weigher, gained, fits=present_w is not None)
        return shared.model_copy(
            update={
                "present": present,
                "assessed_at": now,
                "benefit_wh": {key_of(names, one): wh for one, wh in gained.items() if wh},
            }
        )

    def _choose(
        self, weigher: Weigher, gained: Mapping[Configuration, float], *, fits: bool
    ) -> None:
        """Another configuration that has gained enough; `fits`: circuits carry the present one."""
        if not fits:
            parts = [one for one in gained if self._is_part_of_present(one)]
            first = sorted(range(len(self._members)), key=lambda k: self._members[k].one.priority)
            self._configuration = max(
                parts,
                key=lambda one: (sum(map(bool, one)), [bool(one[k]) for k in first]),
                default=self._present,
            )
            return
        ready = {one: wh for one, wh in gained.items() if self._may_begin(one)}
        thresholds = {one: weigher.threshold_wh(self._members, self._present, one) for one in ready}
        best = best_of(ready, thresholds)
        if best is not None:
            self._configuration, self._benefit_wh = best, ready[best]

    def _is_part_of_present(self, other: Configuration) -> bool:
        """Whether some cars pause and the others stay as they are."""
        return all(then in (0, now) for now, then in zip(self._present, other, strict=True))

    def _may_begin(self, other: Configuration) -> bool:
        """Whether every car that would start may start now."""
        starts = zip(self._members, self._present, other, strict=True)
        return all(car.may_start for car, now, then in starts if then and not now)

    def _ranges(self, configuration: Configuration) -> list[Range] | None:
        """The powers of the cars that share the surplus, within fuse and circuits.

        None where those do not carry all of these cars at their least.
        """
        allotted = self._capacity.allot(self._demands(configuration))
        cars = list(zip(self._sharing, self._members, configuration, strict=True))
        if not all(allotted[k] for k, _, choice in cars if choice):
            return None
        return [Range.of(car, choice, allotted[k]) for k, car, choice in cars]

    # --- what each is given ---

    def _demands(
        self, configuration: Configuration, wanted_a: Mapping[int, int] | None = None
    ) -> list[Demand]:
        """What the cars need in that configuration; `wanted_a` where that is less than the most."""
        choices = dict(zip(self._sharing, configuration, strict=True))
        demands = []
        for k, car in enumerate(self._cars):
            if car.part is Part.LEFT_ALONE:
                continue
            choice = choices.get(k, car.phases)
            most_a = car.most_a(choice) if choice else 0
            if wanted_a is not None and k in wanted_a:
                most_a = min(most_a, max(car.least_a, wanted_a[k]))
            demands.append(
                Demand(
                    key=k,
                    order=car.turn,
                    rank=car.rank,
                    circuit=car.one.circuit,
                    lines=car.lines_on(choice) if choice else car.lines,
                    least_a=car.least_a,
                    most_a=most_a,
                    watts_per_a=car.peak_watts_per_a(choice or car.phases),
                )
            )
        return demands

    def decide(self) -> tuple[Decision, ...]:
        """A decision for each car: first those whose steps are coarse, then the fine ones."""
        targets = self._planned | self._targets()
        given = self._allotted({k: setpoint.current_a for k, setpoint in targets.items()})
        planned = [
            targets.get(k, car.case.active if car.part is not Part.ABSENT else Setpoint(0))
            for k, car in enumerate(self._cars)
        ]
        decided: dict[int, Decision] = {}
        for k in self._order():
            share = self._share(k, given, planned, decided)
            decision = _decide_one(self._cars, k, share)
            decided[k] = self._explained(k, decision, given)
            if decision.setpoint is not None:
                planned[k] = decision.setpoint
        return tuple(decided[k] for k in range(len(self._cars)))

    def _allotted(self, wanted_a: Mapping[int, int]) -> dict[int, int]:
        """The amperes of each car: what it wants first, then what it could take besides."""
        wanted = self._demands(self._configuration, wanted_a)
        demands, capacity = self._demands(self._configuration), self._capacity
        given = capacity.raise_further(capacity.allot(wanted), demands)
        if capacity.peak_w < inf:
            capacity = replace(capacity, peak_w=inf)
            freely = capacity.raise_further(capacity.allot(wanted), demands)
            self._at_peak = [k for k, amps in given.items() if amps < freely[k]]
        return given

    def _order(self) -> list[int]:
        cars = self._cars
        return sorted(
            range(len(cars)),
            key=lambda k: (
                cars[k].part,
                *cars[k].rank,
                -cars[k].case.estimator.watts_per_ampere(cars[k].phases),
            ),
        )

    def _targets(self) -> dict[int, Setpoint]:
        """What each car that shares the surplus should be set to."""
        ranges = self._ranges(self._configuration)
        if self._surplus is None or ranges is None:
            return {k: self._cars[k].case.active for k in self._sharing}
        present_w = [
            car.case.draw_w(car.case.active.current_a, car.phases) for car in self._members
        ]
        powers = spread(ranges, ranks(self._members), self._surplus.middle_w, self._more, present_w)
        targets = {}
        for k, car, choice, one, watts in zip(
            self._sharing, self._members, self._configuration, ranges, powers, strict=True
        ):
            amps = car.least_a + round((watts - one.least_w) / one.step_w) if choice else 0
            targets[k] = Setpoint(amps, choice or car.phases)
        return targets

    def _share(
        self,
        k: int,
        given: Mapping[int, int],
        planned: Sequence[Setpoint],
        decided: Mapping[int, Decision],
    ) -> Share:
        car = self._cars[k]
        others = PowerRange(0.0, 0.0)
        rising = [0.0, 0.0, 0.0]
        for j, other in enumerate(self._cars):
            if j == k:
                continue
            more = other.left_over(planned[j])
            others = PowerRange(others.low_w + more.low_w, others.high_w + more.high_w)
            planned_a = planned[j].current_a if j in decided else 0
            for line in other.lines:
                rising[line] += other.rising_a(planned_a)
        choice: Choice | None = None
        if k in self._sharing:
            choice = self._configuration[self._sharing.index(k)]
        elif car.part is Part.ABSENT and car.case.inputs.policy.mode == "solar":
            here = any(one.part < Part.RESTS for one in self._cars)
            choice = 0 if here else None
        ceiling_a, ceiling_of = self._ceiling(k, given)
        l1, l2, l3 = rising
        return Share(others, (l1, l2, l3), ceiling_a, ceiling_of, choice, self._benefit_wh)

    def _ceiling(self, k: int, given: Mapping[int, int]) -> tuple[int, str]:
        """What is allotted to a car, less while others have not made room yet; and by whom."""
        car = self._cars[k]
        allotted_a, who = given.get(k, 0), "the main fuse shared with other cars"
        if k in self._at_peak and car.peak is not None:
            allotted_a = calm_raise(allotted_a, car.case.active, car.phases)
            who = peak_named(car.peak)
        if k in self._sharing and not self._configuration[self._sharing.index(k)]:
            allotted_a = car.most_a(car.phases)
        if car.shares_circuit:
            who = "the circuit shared with other cars"
            others_a = sum(
                max(other.held_a, given[j])
                for j, other in enumerate(self._cars)
                if j != k and j in given and other.one.circuit == car.one.circuit
            )
            room_a = int(self._capacity.circuits_a[car.one.circuit]) - others_a
            allotted_a = min(allotted_a, max(room_a, min(allotted_a, car.held_a)))
        return allotted_a, who

    def _explained(self, k: int, decision: Decision, given: Mapping[int, int]) -> Decision:
        """The decision with what a car that could charge by itself waits for."""
        car, setpoint = self._cars[k], decision.setpoint
        if car.part > Part.SHARES or setpoint is None or setpoint.current_a:
            return decision
        alone = self._capacity.circuits_a.get(car.one.circuit, 0.0)
        others = [
            other
            for j, other in enumerate(self._cars)
            if j != k and other.one.circuit == car.one.circuit and given.get(j, 0) >= MIN_CURRENT_A
            if other.case.active.current_a or other.part < Part.RESTS
        ]
        left_a = alone - sum(other.least_a for other in others)
        if not car.shares_circuit or left_a >= car.least_a or not others:
            return decision
        names = " and ".join(other.one.name for other in others)
        why = f"waits for {names}: {alone:.0f} A on the circuit are too little for both"
        return replace(decision, reason=f"{setpoint}: {why}")

    def ceilings(self, shared: SharedState, decisions: Sequence[Decision]) -> dict[int, int]:
        """The currents of shared circuits that have to be sent."""
        capacity, setpoints = self._capacity, [one.setpoint for one in decisions]
        return ceilings_due(
            self._cars, capacity.circuits_a, capacity.lines_a, setpoints, shared.ceilings
        )


def _dimmed(ones: Sequence[OneOfSeveral]) -> Sequence[OneOfSeveral]:
    """A limit in W from outside is for all cars: each gets an equal part of it."""
    limit = ones[0].inputs.car_limit
    if limit is None:
        return ones
    here = sum(not car_is_absent(one.inputs.charger) for one in ones)
    part = limit.shared_by(max(1, here))
    return [replace(one, inputs=replace(one.inputs, car_limit=part)) for one in ones]


def _decide_one(cars: Sequence[Car], k: int, share: Share) -> Decision:
    """The law of a single car with its share."""
    car = cars[k]
    state = _unmixed(car.one.state, [other.one.state for j, other in enumerate(cars) if j != k])
    decision = decide(replace(car.inputs, share=share), state)
    now = car.inputs.now
    if car.shares_circuit and decision.setpoint is not None and decision.state.session_at == now:
        return replace(decision, push=True)  # the charger's own current is reset at a plug-in
    return decision


def _unmixed(state: ControllerState, others: Sequence[ControllerState]) -> ControllerState:
    """The state with no test of meter or wiring by a change that came with another car's."""
    changed_at = state.changed_at
    if changed_at is None:
        return state
    mixed = any(
        other.changed_at is not None and abs(other.changed_at - changed_at) < _TOGETHER
        for other in others
    )
    if not mixed or state.wiring_checked_at == changed_at:
        return state
    sign = state.sign.model_copy(update={"checked_at": changed_at})
    return state.model_copy(update={"wiring_checked_at": changed_at, "sign": sign})
