"""Limits of the car in W: dimming from outside, and what the running interval's peak leaves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from easee_load_balancer.control.peak import PeakLimit
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.measurements import Setpoint

if TYPE_CHECKING:
    from easee_load_balancer.control.cycle_inputs import Assessment, CycleInputs

LONGEST_GAP = timedelta(minutes=5)
"""After a longer time without a cycle the interval counts as used up to the limit so far."""
SHORTEST_REST = timedelta(minutes=1)
"""What is left of an interval is not spent faster than within this."""
PEAK_SHARE = 0.99
"""The share of the peak that the car may use up: the rest is for what the house does meanwhile."""
RAISE_STEP_A = {1: 1, 3: 2}
"""By phases: the peak allows a raise only from this much on, not with every load."""


def power_limits(case: Assessment, phases: int) -> Iterator[tuple[int, str]]:
    """Each limit as a current in A on that many phases, and who sets it."""
    inputs, watts_per_ampere = case.inputs, case.estimator.watts_per_ampere(phases)
    limit_w = None if inputs.car_limit is None else inputs.car_limit.at(inputs.now)
    if inputs.car_limit is not None and limit_w is not None:
        who = f"{inputs.car_limit.source} ({limit_w / 1000:.1f} kW)"
        yield int(max(0.0, limit_w) / watts_per_ampere), who
    if inputs.peak is not None and inputs.share is None:  # else it is in the share's ceiling
        grid_w = None if inputs.grid is None else inputs.grid.grid_w
        left_w = peak_leaves_w(inputs.peak, inputs, case.state, case.car.power.middle_w, grid_w)
        amps = calm_raise(int(max(0.0, left_w) / watts_per_ampere), case.active, phases)
        yield amps, peak_named(inputs.peak)


def peak_named(peak: PeakLimit) -> str:
    """The peak as it is called in a reason."""
    return f"the month's peak ({peak.limit_w / 1000:.1f} kW)"


def calm_raise(amps: int, active: Setpoint, phases: int) -> int:
    """What the peak allows, but no raise by so little that it comes with every load."""
    small = active.current_a < amps < active.current_a + RAISE_STEP_A[active.phases]
    return active.current_a if small and phases == active.phases else amps


def peak_leaves_w(
    peak: PeakLimit,
    inputs: CycleInputs,
    state: ControllerState,
    cars_w: float,
    planned_w: float | None,
) -> float:
    """What cars may take until the running interval ends, so that it stays below the peak.

    `cars_w`: what they draw now. With the meter unknown, what was planned with the expected load
    counts (`planned_w`); without a plan, the house is left half.
    """
    if inputs.inverter.grid_export_w is None:
        return peak.limit_w / 2 if planned_w is None else planned_w
    whole = timedelta(minutes=peak.minutes)
    rest = max(interval_start(inputs.now, peak.minutes) + whole - inputs.now, SHORTEST_REST)
    left_wh = PEAK_SHARE * peak.limit_w * (whole / timedelta(hours=1)) - state.interval_wh
    house_w = -inputs.inverter.grid_export_w - cars_w
    return left_wh / (rest / timedelta(hours=1)) - house_w


def count_interval(state: ControllerState, inputs: CycleInputs) -> ControllerState:
    """The state with what the running interval has imported so far."""
    if inputs.peak is None:
        return state
    now, start = inputs.now, interval_start(inputs.now, inputs.peak.minutes)
    export_w = inputs.inverter.grid_export_w
    import_w = inputs.peak.limit_w if export_w is None else max(0.0, -export_w)
    counted_at, wh = state.interval_counted_at, state.interval_wh
    if counted_at is None or not timedelta() <= now - counted_at <= LONGEST_GAP:
        counted_at, wh, import_w = start, 0.0, inputs.peak.limit_w
    elif counted_at < start:
        counted_at, wh = start, 0.0
    wh += import_w * ((now - counted_at) / timedelta(hours=1))
    return state.model_copy(update={"interval_counted_at": now, "interval_wh": wh})


def interval_start(now: datetime, minutes: int) -> datetime:
    """When the running interval of this length began; intervals begin with the hour."""
    return now.replace(minute=now.minute - now.minute % minutes, second=0, microsecond=0)
