"""Invariants of the law on whatever the decoders can make of what devices send."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.devices.easee.models import Observation
from easee_load_balancer.devices.easee.observations import OBSERVATION_IDS, charger_state
from easee_load_balancer.devices.huawei.registers import (
    BATTERY,
    METER,
    POWER,
    decode_battery,
    decode_meter,
    decode_power,
    inverter_reading,
)
from easee_load_balancer.measurements import MIN_CURRENT_A, ChargerState, InverterReading
from tests.support.control_readings import NOW

USUAL: dict[str, st.SearchStrategy[Any]] = {
    "mode": st.sampled_from([0, 1, 2, 3, 3, 3, 4, 6, 7]),
    "car_w": st.floats(0, 12),
    "output_phases": st.sampled_from([0, 10, 11, 12, 20, 30]),
    "phase_mode": st.sampled_from([1, 2, 3]),
    "grid_type": st.sampled_from([1, 1, 2, 3, 4, 5]),
    "reason_for_no_current": st.sampled_from([0, 2, 28, 52, 53, 54, 79]),
    "connected_to_cloud": st.sampled_from([True, True, False]),
}
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(-10, 1000), st.floats(allow_nan=True), st.text(max_size=4)
)


@st.composite
def chargers(draw: st.DrawFn, cycle: int) -> ChargerState:
    """A state as the cloud's answer decodes: most values usual, some of them nonsense."""
    now = NOW + timedelta(seconds=30 * cycle)
    observations = []
    for name, number in OBSERVATION_IDS.items():
        value = draw(st.one_of(USUAL.get(name, st.floats(0, 40)), ANYTHING))
        age_s = draw(st.integers(-60, 1500))
        at = now - timedelta(seconds=age_s)
        observations.append(Observation.model_construct(id=number, timestamp=at, value=value))
    return charger_state(observations, now)


@st.composite
def inverters(draw: st.DrawFn, cycle: int) -> InverterReading:
    """A reading as random registers decode, the meter's status mostly good."""
    word = st.one_of(st.integers(0, 65_535), st.sampled_from([0, 1, 2300, 0x7FFF, 0x8000, 0xFFFF]))

    def words(count: int) -> list[int]:
        return draw(st.lists(word, min_size=count, max_size=count))

    meter = words(METER.count)
    meter[0] = draw(st.sampled_from([1, 1, 1, 0]))
    battery = decode_battery(words(BATTERY.count)) if draw(st.booleans()) else None
    now = NOW + timedelta(seconds=30 * cycle)
    return inverter_reading(now, decode_power(words(POWER.count)), battery, decode_meter(meter))


POLICIES = st.builds(
    Policy,
    mode=st.sampled_from(["solar", "solar+minimum", "fast"]),
    phases=st.sampled_from(["auto", "1", "3"]),
    main_fuse_a=st.integers(10, 63),
    max_current_a=st.integers(10, 32),
)


@settings(max_examples=150, deadline=None)
@given(
    cycles=st.tuples(*(st.tuples(inverters(cycle), chargers(cycle)) for cycle in range(3))),
    policy=POLICIES,
)
def test_no_decoded_input_makes_the_law_fail_or_exceed_a_limit(
    cycles: tuple[tuple[InverterReading, ChargerState], ...], policy: Policy
) -> None:
    state = ControllerState()
    for number, (reading, charger) in enumerate(cycles):
        now = NOW + timedelta(seconds=30 * number)
        decision = decide(CycleInputs(now, reading, charger, policy), state)
        state = ControllerState.model_validate(decision.pushed(now).state.model_dump(mode="json"))
        if decision.setpoint is None or not decision.push:
            continue
        current_a = decision.setpoint.current_a
        assert current_a == 0 or current_a >= MIN_CURRENT_A
        limits = (policy.max_current_a, charger.charger_max_current_a, charger.charger_current_a)
        raised = current_a > (decision.state.setpoint_a or 0)
        assert not raised or all(current_a <= limit for limit in limits if limit is not None)
