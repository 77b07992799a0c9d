"""Documents of the Easee API, and the step from observations to a charger state."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, TypeAdapter, ValidationError

from easee_load_balancer.devices.easee.models import (
    Account,
    AccountCharger,
    ChargerAddress,
    EaseeSite,
    Observation,
    Observations,
    TokenAnswer,
)
from easee_load_balancer.devices.easee.observations import (
    OBSERVATION_IDS,
    STALE_AFTER,
    charger_state,
)
from easee_load_balancer.measurements import ChargerMode, ChargerState

SECRET = SecretStr("hunter2")
NOW = datetime(2026, 8, 14, 10, 0, tzinfo=UTC)
CHARGING = {
    109: 3,
    120: 6.9,
    114: 10.2,
    110: 30,
    183: 9.9,
    184: 10.0,
    185: 10.1,
    194: 231.5,
    195: 229.0,
    196: 230.25,
    111: 10,
    112: 11,
    113: 12,
    22: 16,
    23: 20,
    24: 25,
    50: 6,
    51: 7,
    52: 8,
    48: 32,
    47: 30.5,
    38: 2,
    21: 1,
    96: 27,
    121: 4.5,
    124: 1234.5,
    250: True,
}


def observed(values: dict[int, Any], at: datetime = NOW) -> tuple[Observation, ...]:
    """The API's answer with these values, all observed at that time."""
    answer = {
        "observations": [
            {"id": id_, "timestamp": at.isoformat(), "dataType": 3, "value": value}
            for id_, value in values.items()
        ]
    }
    return Observations.model_validate_json(json.dumps(answer)).observations


def state_of(values: dict[int, Any], at: datetime = NOW) -> ChargerState:
    """The state at NOW from values observed at that time."""
    return charger_state(observed(values, at), NOW)


def test_recorded_documents_are_understood(shared_data: Path) -> None:
    recorded = {
        name: (shared_data / "easee" / f"{name}.json").read_bytes()
        for name in ("chargers", "site", "token")
    }
    (charger,) = TypeAdapter(tuple[AccountCharger, ...]).validate_json(recorded["chargers"])
    assert (charger.id, charger.name) == ("EH12345", "Easee Home 12345")
    site = EaseeSite.model_validate_json(recorded["site"])
    assert (site.id, site.name, site.rated_current) == (55555, "Site name", 20)
    circuit = site.circuit_of("ES12345")
    assert circuit is not None
    assert (circuit.id, circuit.site_id, circuit.rated_current) == (12345, 54321, 16)
    assert site.circuit_of("EH000000") is None
    token = TokenAnswer.model_validate_json(recorded["token"])
    assert token.expires_in == 86400
    assert token.access_token.get_secret_value() == "sometoken1234"
    assert token.refresh_token.get_secret_value() == "arefreshtoken1234"


@pytest.mark.parametrize(
    "site",
    [
        '{"id": 1, "circuits": null, "name": null}',
        '{"id": 1, "circuits": [{"id": 2, "siteId": 1, "chargers": null}]}',
    ],
)
def test_null_lists_are_empty(site: str) -> None:
    assert EaseeSite.model_validate_json(site).circuit_of("EH123456") is None


def test_every_observation_fills_its_field_in_its_unit() -> None:
    state = state_of(CHARGING)
    assert state.taken_at == NOW
    assert state.online
    assert state.mode is ChargerMode.CHARGING
    assert state.car_w == 6900
    assert state.output_current_a == 10.2
    assert state.output_phases == 3
    assert state.car_current_a == (9.9, 10.0, 10.1)
    assert state.voltage_v == (231.5, 229.0, 230.25)
    assert state.circuit_current_a == (10, 11, 12)
    assert state.circuit_max_current_a == (16, 20, 25)
    assert state.offline_current_a == (6, 7, 8)
    assert (state.charger_current_a, state.charger_max_current_a) == (32, 30.5)
    assert (state.phase_mode, state.grid_type, state.reason_for_no_current) == (2, 1, 27)
    assert (state.session_kwh, state.lifetime_kwh) == (4.5, 1234.5)
    signs_of_life = {"wifi_signal_dbm", "highest_temperature_c"}
    assert set(state.observed_at) == set(OBSERVATION_IDS) - signs_of_life


def test_wifi_signal_alone_shows_that_the_charger_is_online() -> None:
    """At night nothing else changes for hours."""
    signal = Observation(id=132, timestamp=NOW - timedelta(minutes=5), value=-60)
    assert charger_state([signal], NOW).online


def test_missing_values_are_unknown() -> None:
    assert charger_state((), NOW) == ChargerState.unknown(NOW)
    state = state_of({120: 0.0, 112: 6})
    assert state.car_w == 0
    assert state.circuit_current_a == (None, 6, None)
    assert state.mode is None
    assert state.output_phases is None


@pytest.mark.parametrize(
    ("value", "phases"),
    [(0, 0), *((one, 1) for one in range(10, 16)), (20, 2), (21, 2), (22, 2), (30, 3)]
    + [(unknown, None) for unknown in (-10, 1, 9, 16, 23, 31, 40, 10.5, "three", None)],
)
def test_output_phases_are_counted_from_the_enumeration(value: Any, phases: int | None) -> None:
    assert state_of({110: value}).output_phases == phases


@pytest.mark.parametrize(
    ("value", "mode"),
    [(int(mode), mode) for mode in ChargerMode]
    + [(unknown, None) for unknown in (-1, 9, 2.5, "charging", None, True)],
)
def test_modes_are_known_or_none(value: Any, mode: ChargerMode | None) -> None:
    assert state_of({109: value}).mode is mode


@pytest.mark.parametrize(("mode", "car_w"), [(3, 7200.0), (2, 0.0), (4, 0.0), (None, 7200.0)])
def test_power_left_over_from_before_is_0_w_while_not_charging(
    mode: int | None, car_w: float
) -> None:
    values: dict[int, Any] = {120: 7.2} if mode is None else {109: mode, 120: 7.2}
    assert state_of(values).car_w == car_w


@pytest.mark.parametrize(
    ("volts", "known"),
    [(2e-308, None), (0.0, None), (79.9, None), (80, 80), (300, 300), (300.1, None), (-230, None)],
)
def test_voltage_that_cannot_be_is_unknown(volts: float, known: float | None) -> None:
    assert state_of({194: volts, 195: 230}).voltage_v == (known, 230, None)


@pytest.mark.parametrize(
    ("value", "power_w"),
    [("6.9", 6900), ("0", 0), (7, 7000)]
    + [(wrong, None) for wrong in (None, "", "n/a", True, "nan", "inf", "-Infinity")]
    + [pytest.param(10**400, None, id="huge")],
)
def test_numbers_may_be_text_and_impossible_ones_are_unknown(
    value: Any, power_w: float | None
) -> None:
    assert state_of({120: value}).car_w == power_w


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("id_", [109, 110, 38, 120, 250])
def test_nan_and_infinity_are_unknown(literal: str, id_: int) -> None:
    answer = (
        f'{{"observations": [{{"id": {id_}, "timestamp": "2026-08-14T10:00:00Z", '
        f'"dataType": 3, "value": {literal}}}]}}'
    )
    observations = Observations.model_validate_json(answer).observations
    state = charger_state(observations, NOW)
    assert state == charger_state(observed({id_: None}), NOW)


@pytest.mark.parametrize(
    ("values", "online"),
    [
        ((True, "true", "True", "1", 1, 1.0), True),
        ((False, "false", "False", "0", 0, 0.0), False),
        pytest.param((None, "", "perhaps", 7), True, id="unknown counts as connected"),
    ],
)
def test_charger_is_offline_only_when_it_says_so(values: tuple[Any, ...], online: bool) -> None:
    assert {state_of({109: 3, 250: value}).online for value in values} == {online}


def test_charger_is_online_while_its_newest_value_is_at_most_20_minutes_old() -> None:
    old = observed(CHARGING, NOW - timedelta(days=30))
    assert not charger_state(old, NOW).online
    for age, online in ((STALE_AFTER, True), (STALE_AFTER + timedelta(seconds=1), False)):
        state = charger_state((*observed({120: 6.9}, NOW - age), *old[2:]), NOW)
        assert state.online is online
        assert state.car_w == 6900
        assert state.car_connected is None
    assert charger_state((*old[1:], *observed({109: 3})), NOW).car_connected is True
    assert charger_state(old, NOW).car_connected is None


def test_each_value_has_its_own_time() -> None:
    before = NOW - timedelta(minutes=12)
    state = charger_state((*observed({120: 6.9}, before), *observed({109: 3})), NOW)
    assert state.observed_at == {"car_w": before, "mode": NOW}


def test_times_without_a_zone_are_utc() -> None:
    naive = observed({120: 1.0}, NOW.replace(tzinfo=None))
    elsewhere = observed({109: 3}, NOW.astimezone(timezone(timedelta(hours=2))))
    assert charger_state((*naive, *elsewhere), NOW).observed_at == {"car_w": NOW, "mode": NOW}


def test_newest_value_counts_whatever_the_order() -> None:
    values = observed(CHARGING)
    assert charger_state(reversed(values), NOW) == charger_state(values, NOW)
    older, newer = observed({120: 1.0}, NOW - timedelta(minutes=1)), observed({120: 2.0})
    assert charger_state((*older, *newer), NOW).car_w == 2000
    assert charger_state((*newer, *older), NOW).car_w == 2000


def test_other_observations_are_ignored() -> None:
    assert state_of({120: 1.0, 100: "C", 9999: "x"}).observed_at == {"car_w": NOW}


@settings(deadline=None, max_examples=100)
@given(
    st.dictionaries(
        st.sampled_from(sorted(OBSERVATION_IDS.values())),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    )
)
def test_any_value_gives_a_finite_state(values: dict[int, Any]) -> None:
    state = state_of(values)
    assert state.online is (bool(values) and state_of({109: 3, 250: values.get(250)}).online)
    for power in (state.car_w, state.session_kwh, *state.voltage_v):
        assert power is None or math.isfinite(power)


@pytest.mark.parametrize(
    "wrong",
    [
        {"user_name": ""},
        {"password": ""},
        {"base_url": "api.easee.com"},
        {"base_url": "http://api.easee.com"},
        {"base_url": "http://127.0.0.1.example.com"},
        {"base_url": "ftp://127.0.0.1"},
        {"base_url": "https://"},
        {"base_url": "https://h:99999"},
        {"base_url": "https://h:port"},
        {"base_url": "https://owner:hunter2@h"},
    ],
)
def test_invalid_account_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Account.model_validate({"user_name": "owner@example.com", "password": "hunter2"} | wrong)


@pytest.mark.parametrize(
    "url", ["https://api.easee.com/", "http://127.0.0.1:8080", "http://[::1]", "http://localhost"]
)
def test_https_and_loopback_addresses_are_accepted(url: str) -> None:
    account = Account(user_name="owner", password=SECRET, base_url=url)
    assert account.base_url == url.rstrip("/")


def test_validation_errors_and_repr_hide_the_password() -> None:
    for given_ in ({"password": "hunter2"}, {"password": ["hunter2"], "user_name": "x"}):
        with pytest.raises(ValidationError) as refused:
            Account.model_validate(given_)
        assert "hunter2" not in str(refused.value)
    assert "hunter2" not in repr(Account(user_name="owner", password=SECRET))


@pytest.mark.parametrize(
    "wrong",
    [{"charger_id": "EH1/../x"}, {"charger_id": ""}, {"site_id": 0}, {"circuit_id": -1}],
)
def test_invalid_charger_address_is_refused(wrong: dict[str, Any]) -> None:
    good = {"charger_id": "EH123456", "site_id": 54321, "circuit_id": 12345}
    with pytest.raises(ValidationError):
        ChargerAddress.model_validate(good | wrong)


def test_value_from_the_near_future_is_from_now_and_one_from_the_far_future_is_none() -> None:
    near = observed({109: 3}, NOW + timedelta(minutes=5))
    far = observed({120: 6.9}, NOW + timedelta(minutes=15))
    state = charger_state((*near, *far), NOW)
    assert (state.mode, state.car_w) == (ChargerMode.CHARGING, None)
    assert state.observed_at == {"mode": NOW}
    later = charger_state((*near, *far), NOW + STALE_AFTER + timedelta(minutes=6))
    assert later.car_w == 6900
