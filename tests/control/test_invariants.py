"""What the control law must never do, over random readings, policies and memories."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.export_limit import HiddenSurplus, Probe
from easee_load_balancer.control.meter_sign import Balance, MeterSign
from easee_load_balancer.control.peak import PeakLimit
from easee_load_balancer.control.plan import CarLimit, GridAllowance
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.measurements import (
    CAR_CURRENTS_OBSERVED,
    CIRCUIT_CURRENTS_OBSERVED,
    ChargerMode,
    ChargerState,
    GridType,
    InverterReading,
    Setpoint,
)
from tests.support.control_readings import NOW

amperes = st.one_of(st.none(), st.floats(-60, 60))
OBSERVED = ("car_w", *CAR_CURRENTS_OBSERVED, *CIRCUIT_CURRENTS_OBSERVED)
limits = st.one_of(st.none(), st.floats(0, 80))
watts = st.one_of(st.none(), st.floats(-30_000, 30_000))
recently = st.one_of(st.none(), st.integers(-4000, 4000).map(lambda s: NOW - timedelta(seconds=s)))


def three(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(values, values, values)


readings = st.one_of(
    st.just(InverterReading.sleeping(NOW)),
    st.just(InverterReading.unknown(NOW)),
    st.builds(
        InverterReading,
        taken_at=st.integers(0, 100).map(lambda s: NOW - timedelta(seconds=s)),
        grid_export_w=watts,
        battery_charge_w=watts,
        battery_soc_pct=st.one_of(st.none(), st.floats(0, 100)),
        has_battery=st.booleans(),
        pv_w=watts,
        inverter_ac_w=watts,
        grid_export_phase_w=three(watts),
        grid_current_phase_a=three(amperes),
        grid_voltage_v=three(st.one_of(st.none(), st.floats(0, 400))),
        meter_phases=st.sampled_from([None, 1, 3]),
        export_limit_w=st.one_of(st.none(), st.floats(0, 10_000)),
        throttled=st.booleans(),
    ),
)
chargers = st.builds(
    ChargerState,
    taken_at=st.just(NOW),
    online=st.sampled_from([True, True, True, False]),
    mode=st.one_of(st.none(), st.sampled_from(ChargerMode)),
    car_w=st.one_of(st.none(), st.floats(0, 23_000)),
    output_current_a=limits,
    output_phases=st.sampled_from([None, 0, 1, 2, 3]),
    car_current_a=three(limits),
    voltage_v=three(st.one_of(st.none(), st.floats(0, 400))),
    circuit_current_a=three(limits),
    circuit_max_current_a=three(limits),
    charger_current_a=limits,
    charger_max_current_a=limits,
    phase_mode=st.sampled_from([None, 1, 2, 3]),
    grid_type=st.sampled_from([None, 1, 2, 3, 4, 5]),
    reason_for_no_current=st.sampled_from([None, 0, 2, 52, 53, 54, 79]),
    observed_at=recently.map(lambda at: dict.fromkeys(OBSERVED, at) if at else {}),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    lowest_a = draw(st.integers(6, 10))
    return Policy(
        mode=draw(st.sampled_from(["off", "solar", "solar+minimum", "fast"])),
        phases=draw(st.sampled_from(["auto", "1", "3"])),
        min_current_a=lowest_a,
        max_current_a=draw(st.integers(10, 32)),
        export_margin_w=draw(st.one_of(st.none(), st.integers(-5000, 5000))),
        export_limit_w=draw(st.sampled_from([None, None, 0, 5000])),
        meter_nets_phases=draw(st.booleans()),
        battery_first_until_pct=draw(st.integers(0, 100)),
        battery_support_w=draw(st.integers(0, 5000)),
        main_fuse_a=draw(st.integers(10, 63)),
        fuse_margin_a=draw(st.integers(0, 20)),
    )


price_models = st.builds(
    Prices,
    import_price=st.floats(-1, 1),
    export_price=st.floats(-1, 1),
    night_price=st.floats(0, 1),
)
missed = st.floats(0, 500)
searches = st.builds(
    HiddenSurplus,
    probe=st.one_of(
        st.none(),
        st.builds(
            Probe,
            phases=st.sampled_from([1, 3]),
            current_a=st.integers(6, 32),
            begun_at=recently.map(lambda at: at or NOW),
            shown_since=recently,
        ),
    ),
    step_a=st.integers(1, 8),
    failures=st.integers(0, 9),
    carried=st.booleans(),
    tried_at=recently,
    limited_since=recently,
    offered_a=st.integers(0, 96),
    never_exports=st.booleans(),
)
whole_w = st.integers(-30_000, 30_000)
balances = st.one_of(
    st.none(), st.builds(Balance, car_w=st.integers(0, 23_000), export_w=whole_w, ac_w=whole_w)
)
signs = st.builds(
    MeterSign,
    before=balances,
    doubted_at=recently,
    against_w=st.floats(0, 2000),
    wrong_since=st.one_of(st.none(), st.none(), recently),
    paused_until=recently,
    mode=st.sampled_from(["solar", "fast"]),
)
memories = st.builds(
    ControllerState,
    setpoint_a=st.one_of(st.none(), st.just(0), st.integers(6, 32)),
    phases=st.sampled_from([1, 3]),
    pushed_at=recently,
    pending_a=st.one_of(st.none(), st.none(), st.just(0), st.integers(6, 32)),
    pending_at=recently,
    is_pending=st.booleans(),
    external_limit_a=st.one_of(st.none(), st.none(), three(st.floats(0, 40))),
    before_a=st.one_of(st.just(0), st.integers(6, 32)),
    before_phases=st.sampled_from([1, 3]),
    changed_at=recently,
    raised_at=recently,
    started_at=recently,
    switched_at=recently,
    battery_first=st.booleans(),
    battery_assisting=st.booleans(),
    assessed_at=recently,
    accumulated_benefit_wh=st.dictionaries(st.sampled_from([0, 1, 3]), missed),
    accumulated_step_benefit_wh=missed,
    hidden=searches,
    sign=signs,
    unknown_since=recently,
    car_phases=st.sampled_from([None, 1, 2, 3]),
)


allowances = st.one_of(
    st.none(), st.builds(GridAllowance, st.floats(0, 23_000), st.sampled_from(["", "planned"]))
)
boosts = st.one_of(
    st.none(),
    st.builds(
        Boost,
        current_a=st.integers(6, 32),
        started_at=st.integers(0, 4000).map(lambda s: NOW - timedelta(seconds=s)),
    ),
)


@settings(max_examples=500, deadline=None)
@given(
    reading=readings,
    state=chargers,
    policy=policies(),
    controller_state=memories,
    boost=boosts,
    prices=price_models,
    grid=allowances,
    car_limit=st.one_of(st.none(), st.builds(CarLimit, st.floats(0, 23_000))),
    peak=st.one_of(
        st.none(), st.builds(PeakLimit, st.floats(0, 20_000), st.sampled_from([15, 60]))
    ),
)
def test_what_must_never_happen(
    reading: InverterReading,
    state: ChargerState,
    policy: Policy,
    controller_state: ControllerState,
    boost: Boost | None,
    prices: Prices,
    grid: GridAllowance | None,
    car_limit: CarLimit | None,
    peak: PeakLimit | None,
) -> None:
    inputs = CycleInputs(NOW, reading, state, policy, prices, boost, grid, car_limit, peak)
    decision = decide(inputs, controller_state)
    assert decide(inputs, controller_state) == decision
    if boost is not None:
        policy = boost.over(policy)
    elif grid is not None:
        policy = grid.over(policy)
    prefix = f"{boost}: " if boost else "planned: "
    assert 0 < len(decision.reason.removeprefix(prefix)) <= 140
    assert ControllerState.model_validate_json(decision.state.model_dump_json()) == decision.state
    setpoint = decision.setpoint
    if setpoint is None or not decision.push:
        return
    assert (
        setpoint.current_a == 0
        or setpoint.current_a >= policy.min_current_a
        or (
            controller_state.setpoint is not None
            and setpoint.current_a <= controller_state.setpoint.current_a
        )
    )
    if setpoint.current_a == 0:
        return
    assert setpoint.current_a <= policy.max_current_a
    if car_limit is not None:  # a car that draws on fewer phases than offered takes less
        one = bool(state.car_w) or state.grid_type == GridType.TN_ONE_PHASE
        phases = min(setpoint.phases, 1 if one else 3)
        assert setpoint.current_a * phases * 180 <= car_limit.limit_w
    for limit_a in (
        state.charger_max_current_a,
        state.charger_current_a,
        *state.circuit_max_current_a[: setpoint.phases],
        *(decision.state.external_limit_a or ())[: setpoint.phases],
    ):
        assert limit_a is None or setpoint.current_a <= limit_a
    _assert_within_fuse(setpoint, reading, state, policy, controller_state)
    if "unknown for" in decision.reason and controller_state.setpoint is not None:
        assert setpoint.current_a <= controller_state.setpoint.current_a


def _assert_within_fuse(
    setpoint: Setpoint,
    reading: InverterReading,
    state: ChargerState,
    policy: Policy,
    controller_state: ControllerState,
) -> None:
    """Import less the most that the car may be drawing now, plus what it may draw, fits.

    Where the import is unknown or has the wrong sign, what it may draw fits into half of the fuse.
    """
    usable_a = policy.main_fuse_a - policy.fuse_margin_a
    measured = zip(reading.grid_current_phase_a, reading.grid_export_phase_w, strict=True)
    phases = list(measured)[: reading.meter_phases or 3]
    unknown = any(amps is None and power_w is None for amps, power_w in phases)
    if reading.asleep or unknown or controller_state.sign.wrong_since is not None:
        assert setpoint.current_a <= usable_a / 2
        return
    imports = [-amps for amps, _ in phases if amps is not None]
    held = controller_state.setpoint or Setpoint(0)
    if controller_state.setpoint is None and state.mode is ChargerMode.CHARGING:
        # what the charger gave before the first cycle
        given_a = int(state.output_current_a or 0)
        held = Setpoint(given_a if given_a >= 6 else 0, 1 if state.output_phases == 1 else 3)
    car_a = max(held.current_a, controller_state.before_a, (state.car_w or 0) / 180)
    if imports:
        assert setpoint.current_a <= usable_a - max(imports) + car_a
