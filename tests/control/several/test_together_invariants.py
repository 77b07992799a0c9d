"""What several chargers must never do together, over random homes whose cars have settled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from hypothesis import given, settings
from hypothesis import strategies as st

from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.peak import PeakLimit
from easee_load_balancer.control.plan import GridAllowance
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.several.cars import OneOfSeveral
from easee_load_balancer.control.several.controller import SharedState, decide_together
from easee_load_balancer.measurements import ChargerMode, InverterReading
from tests.support.control_readings import NOW, VOLTS, charger, inverter, told

UNDERDRAW_A = 0.3


@dataclass(frozen=True)
class Point:
    """A charger that holds a current, and whose car draws it or nothing."""

    circuit: int
    priority: int
    mode: str
    held_a: int
    draws: bool
    circuit_a: int
    planned_a: int | None = None

    @property
    def is_off(self) -> bool:
        return self.mode == "off"

    @property
    def drawn_a(self) -> float:
        return self.held_a - UNDERDRAW_A if self.draws and self.held_a else 0.0


points = st.builds(
    Point,
    circuit=st.sampled_from([0, 0, 1]),
    priority=st.integers(1, 2),
    mode=st.sampled_from(["solar", "solar", "solar+minimum", "fast", "off"]),
    held_a=st.one_of(st.just(0), st.integers(6, 16)),
    draws=st.sampled_from([True, True, False]),
    circuit_a=st.just(0),
    planned_a=st.sampled_from([None, None, 0, 7, 16]),
)


@st.composite
def homes(draw: st.DrawFn) -> tuple[list[Point], InverterReading, int, PeakLimit | None]:
    """Chargers, the house's reading with what their cars draw, main fuse and month's peak."""
    rated_a = draw(st.sampled_from([10, 16, 20, 32]))
    chosen = draw(st.lists(points, min_size=2, max_size=4))
    chosen = [replace(one, circuit_a=rated_a) for one in chosen]
    fuse_a = draw(st.sampled_from([16, 20, 25, 35]))
    base_a = draw(st.tuples(*[st.floats(-30, fuse_a - 4)] * 3))
    amps = [base + sum(one.drawn_a for one in chosen) for base in base_a]
    l1, l2, l3 = (-value for value in amps)
    reading = inverter(-sum(amps) * VOLTS, grid_current_phase_a=(l1, l2, l3))
    peak_w = draw(st.sampled_from([None, None, 9000.0]))
    return chosen, reading, fuse_a, None if peak_w is None else PeakLimit(peak_w, 60)


def together(
    chosen: list[Point], reading: InverterReading, fuse_a: int, peak: PeakLimit | None
) -> tuple[tuple[Decision, ...], dict[int, int]]:
    ones = []
    for number, one in enumerate(chosen):
        state = charger(
            one.drawn_a,
            car_w=one.drawn_a * 3 * VOLTS,
            output_current_a=float(one.held_a),
            circuit_max_current_a=(float(one.circuit_a),) * 3,
            mode=ChargerMode.CHARGING if one.drawn_a else ChargerMode.AWAITING_START,
        )
        policy = Policy.model_validate({"mode": one.mode, "main_fuse_a": fuse_a})
        grid = None if one.planned_a is None else GridAllowance(one.planned_a * 3 * VOLTS)
        inputs = CycleInputs(NOW, reading, state, policy, grid=grid, peak=peak)
        before = told(one.held_a, planned=bool(one.planned_a), interval_counted_at=NOW)
        ones.append(OneOfSeveral(f"car {number}", one.priority, one.circuit, inputs, before))
    answer = decide_together(ones, SharedState())
    return answer.decisions, dict(answer.ceilings)


@settings(max_examples=150, deadline=None)
@given(home=homes())
def test_currents_never_exceed_fuse_circuits_and_peak(
    home: tuple[list[Point], InverterReading, int, PeakLimit | None],
) -> None:
    chosen, reading, fuse_a, peak = home
    decisions, ceilings = together(*home)
    assert (decisions, ceilings) == together(*home)
    assert all(
        (one.setpoint is None) == point.is_off for one, point in zip(decisions, chosen, strict=True)
    )
    new_a = [
        one.setpoint.current_a if one.setpoint else ceil(point.drawn_a)
        for one, point in zip(decisions, chosen, strict=True)
    ]
    assert all(amps == 0 or amps >= 6 for amps in new_a)
    worst_a = [
        amps if one.is_off else max(one.held_a, amps)
        for one, amps in zip(chosen, new_a, strict=True)
    ]
    raised = [amps > one.held_a for one, amps in zip(chosen, new_a, strict=True)]
    for circuit in {one.circuit for one in chosen}:
        members = [k for k, one in enumerate(chosen) if one.circuit == circuit]
        rated_a = chosen[0].circuit_a
        assert sum(new_a[k] for k in members) <= max(
            rated_a, sum(chosen[k].held_a for k in members)
        )
        if any(raised[k] for k in members):  # whichever of the commands is lost
            assert sum(worst_a[k] for k in members) <= rated_a
        assert ceilings.get(circuit, 0) <= rated_a
    if peak is not None:
        drawn_w = sum(one.drawn_a for one in chosen if not one.is_off) * 3 * VOLTS
        left_w = 0.99 * peak.limit_w + (reading.grid_export_w or 0.0) + drawn_w
        given_w = sum(one.setpoint.power_w(VOLTS) for one in decisions if one.setpoint)
        assert given_w <= max(0.0, left_w) + 1
    usable_a, controlled = fuse_a - 2, [k for k, one in enumerate(chosen) if not one.is_off]
    for line in range(3):
        base_a = -(reading.grid_current_phase_a[line] or 0.0)
        base_a -= sum(chosen[k].drawn_a for k in controlled)
        if any(raised):
            worst = sum(worst_a[k] - UNDERDRAW_A for k in controlled)
            assert base_a + worst <= usable_a + 0.01
        drawing_a = sum(new_a[k] - UNDERDRAW_A for k in controlled if chosen[k].drawn_a)
        if any(new_a[k] for k in controlled):
            assert base_a + drawing_a <= max(usable_a, base_a) + 0.01
