"""Commands that arrive by MQTT."""

from __future__ import annotations

import pytest

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.integrations.commands import (
    BoostRequest,
    CancelBoost,
    Command,
    SettingChange,
    command_from,
)

UNDERSTOOD: list[tuple[str, bytes, Command]] = [
    ("mode", b"fast", SettingChange("mode", "fast")),
    ("max_current_a", b" 20 ", SettingChange("max_current_a", "20")),
    ("hold_battery", b"True", SettingChange("hold_battery", "True")),
    ("boost", b"17:30 or 10 kWh", BoostRequest("17:30 or 10 kWh")),
    ("boost", b"OFF", CancelBoost()),
]
REFUSED: list[tuple[str, bytes, str]] = [
    ("main_fuse_a", b"63", "there is no command 'main_fuse_a'"),
    ("mode", b"", "needs 1 to 100 characters"),
    ("mode", b"x" * 1000, "needs 1 to 100 characters"),
    ("mode", b"\xff\xfe", "is not text"),
]
CHANGES: list[tuple[str, str, object]] = [
    ("mode", "solar+minimum", "solar+minimum"),
    ("phases", "1", "1"),
    ("min_current_a", "8", 8),
    ("max_current_a", "32.0", 32),
    ("hold_battery", "True", True),
    ("max_power_w", "4200", 4200),
    ("max_power_w", "Off", None),
]
ILLEGAL: list[tuple[str, str, str]] = [
    ("mode", "turbo", "mode: Input should be 'off', 'solar'"),
    ("phases", "2", "phases: Input should be"),
    ("min_current_a", "11", "less than or equal to 10"),
    ("max_current_a", "9", "greater than or equal to 10"),
    ("max_current_a", "nan", "valid integer"),
    ("max_current_a", "16.5", "valid integer"),
    ("max_current_a", "off", "valid integer"),
    ("max_power_w", "4.2 kW", "valid integer"),
]


@pytest.mark.parametrize(("name", "payload", "command"), UNDERSTOOD)
def test_commands_are_understood(name: str, payload: bytes, command: Command) -> None:
    assert command_from(name, payload) == command


@pytest.mark.parametrize(("name", "payload", "sentence"), REFUSED)
def test_what_is_no_command_is_refused(name: str, payload: bytes, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        command_from(name, payload)


@pytest.mark.parametrize(("field", "text", "value"), CHANGES)
def test_a_change_leaves_everything_else(field: str, text: str, value: object) -> None:
    before = Policy(main_fuse_a=35).model_dump()
    assert SettingChange(field, text).applied_to(before) == {**before, field: value}


@pytest.mark.parametrize(("field", "text", "sentence"), ILLEGAL)
def test_an_illegal_value_is_refused(field: str, text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        SettingChange(field, text).applied_to(Policy().model_dump())
