"""Values that other programs send by MQTT."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.integrations.inbound import INPUTS, Value, reported

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = [{"start": "2026-11-26T12:00:00Z", "value": 0.25}]


def dated(value: object, age: timedelta) -> bytes:
    """A value with its time."""
    return json.dumps({"value": value, "at": (NOW - age).isoformat()}).encode()


@pytest.mark.parametrize(
    ("name", "payload", "value"),
    [
        ("car_soc", b"63", 63.0),
        ("car_soc", dated(63.5, timedelta(hours=11)), 63.5),
        ("car_soc_limit", b"80", 80.0),
        ("presence", b"not_home", False),
        ("presence", b"Home", True),
        ("grid_limit_w", b"4200", 4200.0),
        ("grid_limit_w", b"off", None),
        ("prices", json.dumps(HOUR).encode(), {NOW: 0.25}),
        ("solar_forecast", json.dumps(HOUR).encode(), {NOW: 0.25}),
    ],
)
def test_a_message_is_a_value(name: str, payload: bytes, value: Value) -> None:
    assert reported(name, payload, NOW, retained=False).value == value


@pytest.mark.parametrize(
    ("name", "payload", "said"),
    [
        ("car_soc", b"101", "not from 0 to 100"),
        ("car_soc", b"nan", "not from 0 to 100"),
        ("car_soc", b"unknown", "cannot be used"),
        ("car_soc", b"\xff", "cannot be used"),
        ("car_soc", b'{"value": 63}', "'at' is missing"),
        ("car_soc", dated(63, timedelta(hours=13)), "too old"),
        ("car_soc", dated(63, timedelta(hours=-1)), "from the future"),
        ("presence", b"maybe", "neither home nor away"),
        ("prices", b"[]", "not a list of 1 to 1000"),
        ("prices", b"[" * 100_000, "cannot be used"),
        ("prices", json.dumps([{"start": "2026-11-26T12:00", "value": 1}]).encode(), "offset"),
        ("prices", b"[" + b" " * 300_000 + b"]", "too long"),
        ("fuse", b"63", "there is no input 'fuse'"),
    ],
)
def test_anything_else_is_refused_with_a_sentence(name: str, payload: bytes, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        reported(name, payload, NOW, retained=False)


def test_a_retained_message_needs_its_time() -> None:
    with pytest.raises(ConfigurationError, match="needs a time"):
        reported("car_soc", b"63", NOW, retained=True)
    payload = dated(63, timedelta(hours=1))
    assert reported("car_soc", payload, NOW, retained=True).value == 63


def test_a_value_holds_no_longer_than_it_can_be_true() -> None:
    limit = reported("grid_limit_w", b"4200", NOW, retained=False)
    assert limit.holds(NOW + timedelta(minutes=59))
    assert not limit.holds(NOW + timedelta(minutes=60))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(INPUTS)), st.binary(max_size=40) | st.text().map(str.encode))
def test_any_payload_is_a_value_or_one_of_our_errors(name: str, payload: bytes) -> None:
    try:
        reported(name, payload, NOW, retained=False)
    except ConfigurationError:
        return
