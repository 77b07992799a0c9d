"""Warnings about equipment and settings, one row per case."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from easee_load_balancer import errors
from easee_load_balancer.commands import warnings
from easee_load_balancer.commands.troubleshooting import usual_causes
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.devices.easee.discovery import FoundCharger
from easee_load_balancer.devices.easee.models import EaseeSite, Observation
from easee_load_balancer.devices.easee.observations import Controls, controls
from easee_load_balancer.devices.huawei.discovery import Finding
from easee_load_balancer.devices.huawei.identity import Identity
from easee_load_balancer.measurements import ChargerState, PhaseValues
from easee_load_balancer.orchestration.other_chargers import OtherCharger, OtherChargers

NOW = datetime(2026, 6, 21, 10, tzinfo=UTC)
IDENTITY = Identity("SUN2000-10KTL-M1", "HV1", 10_000, True, True, 10_000, True, 3)
STATE = replace(ChargerState.unknown(NOW), online=True, grid_type=1)
NO_CONTROLS = Controls(True, False, scheduled=False, equalizer=False)


def _charger(others: int = 0, equalizers: int = 0) -> FoundCharger:
    chargers = [{"id": f"EH{number}", "name": f"Box {number}"} for number in range(1 + others)]
    site = EaseeSite.model_validate(
        {
            "id": 1,
            "circuits": [{"id": 2, "siteId": 1, "chargers": chargers}],
            "equalizers": [{"id": f"QP{number}"} for number in range(equalizers)],
        }
    )
    return FoundCharger("EH0", "Box 0", site, site.circuits[0])


def test_a_plain_house_gets_no_warning() -> None:
    assert warnings.of_inverter(IDENTITY) == []
    assert warnings.of_charger(_charger(), STATE, NO_CONTROLS) == []
    assert warnings.of_phases(STATE, 3) == []


INVERTERS = {
    "no meter": (replace(IDENTITY, meter_online=False), "grid meter does not answer"),
    "battery offline": (replace(IDENTITY, battery_online=False), "battery is offline"),
}


@pytest.mark.parametrize("name", INVERTERS)
def test_warns_about_the_inverter(name: str) -> None:
    identity, said = INVERTERS[name]
    (sentence,) = warnings.of_inverter(identity)
    assert said in sentence


CHARGERS: dict[str, tuple[FoundCharger, ChargerState, Controls, str]] = {
    "offline": (_charger(), replace(STATE, online=False), NO_CONTROLS, "is offline"),
    "off": (_charger(), STATE, replace(NO_CONTROLS, enabled=False), "switched off"),
    "locked": (_charger(), STATE, replace(NO_CONTROLS, authorization_required=True), "unlocked"),
    "another": (_charger(others=1), STATE, NO_CONTROLS, "also has Box 1 (EH1)"),
    "Equalizer": (_charger(equalizers=1), STATE, NO_CONTROLS, "Equalizer"),
    "paired Equalizer": (_charger(), STATE, replace(NO_CONTROLS, equalizer=True), "Equalizer"),
    "schedule": (_charger(), STATE, replace(NO_CONTROLS, scheduled=True), "schedule of its own"),
    "schedule at work": (
        _charger(),
        replace(STATE, reason_for_no_current=54),
        NO_CONTROLS,
        "schedule of its own",
    ),
}


@pytest.mark.parametrize("name", CHARGERS)
def test_warns_about_the_charger(name: str) -> None:
    charger, state, others, said = CHARGERS[name]
    (sentence,) = warnings.of_charger(charger, state, others)
    assert said in sentence


def test_a_further_charger_that_is_balanced_too_needs_no_warning() -> None:
    other = OtherCharger.model_construct(charger_id="EH1", site_id=1, circuit_id=2, name="Box 1")
    known = OtherChargers(chargers=[other])
    assert "EH1" in warnings.of_charger(_charger(others=1), STATE, NO_CONTROLS)[0]
    assert warnings.of_charger(_charger(others=1), STATE, NO_CONTROLS, known) == []


@pytest.mark.parametrize(("phases", "grid", "warned"), [(1, 1, True), (1, 3, False), (3, 1, False)])
def test_warns_about_a_one_phase_meter_with_a_three_phase_charger(
    phases: int, grid: int, warned: bool
) -> None:
    assert bool(warnings.of_phases(replace(STATE, grid_type=grid), phases)) == warned


FALLBACKS: dict[str, tuple[PhaseValues, PhaseValues, float | None, int, str, bool]] = {
    # offline current, circuit's maximum, charger's maximum, main fuse -> said, warned
    "as usual": ((16, 16, 16), (16, 16, 16), 32, 25, "16 A .* leaves 9 A", False),
    "just allowed": ((23, 23, 23), (32, 32, 32), 32, 25, "23 A .* leaves 2 A", False),
    "too much": ((32, 32, 32), (32, 32, 32), 32, 25, "32 A .* leaves 0 A", True),
    "circuit protects": ((40, 40, 40), (16, 16, 16), 32, 25, "16 A", False),
    "charger protects": ((40, 40, 40), (32, 32, 32), 10, 25, "10 A", False),
    "worst phase": ((6, 6, 24), (32, 32, 32), 32, 25, "24 A", True),
    "nothing": ((0, 0, 0), (16, 16, 16), 32, 25, "0 A .* leaves 25 A", False),
    "unknown": ((None, None, None), (16, 16, 16), 32, 25, "did not report", True),
}


@pytest.mark.parametrize("name", FALLBACKS)
def test_explains_the_fallback_current_and_warns_if_the_fuse_does_not_allow_it(name: str) -> None:
    offline, circuit, charger, fuse, said, warned = FALLBACKS[name]
    state = replace(
        STATE,
        offline_current_a=offline,
        circuit_max_current_a=circuit,
        charger_max_current_a=charger,
    )
    policy = Policy(main_fuse_a=fuse)
    sentence = warnings.when_unattended(state, policy)
    assert "30 minutes" in sentence
    assert re.search(said, sentence)
    assert bool(warnings.of_fallback(state, policy)) == warned


OBSERVED: dict[str, tuple[int, Any, str, object]] = {
    "no schedule": (62, "", "scheduled", False),
    "empty schedule": (62, "{}", "scheduled", False),
    "schedule": (62, '{"isEnabled": true, "chargeStartTime": "22:00"}', "scheduled", True),
    "schedule switched off": (62, '{"isEnabled": false}', "scheduled", False),
    "schedule of another form": (62, "[1]", "scheduled", True),
    "schedule that is none": (62, "{", "scheduled", False),
    "Equalizer": (65, '{"id": "QP1"}', "equalizer", True),
    "no Equalizer": (65, "null", "equalizer", False),
    "locked": (42, True, "authorization_required", True),
    "locked as text": (42, "true", "authorization_required", True),
    "open": (42, False, "authorization_required", False),
    "off": (31, False, "enabled", False),
}


@pytest.mark.parametrize("name", OBSERVED)
def test_recognises_what_else_controls_the_charger(name: str) -> None:
    number, value, field, expected = OBSERVED[name]
    seen = controls([Observation(id=number, timestamp=NOW, value=value)])
    assert getattr(seen, field) == expected
    assert controls([]) == Controls(None, None, scheduled=False, equalizer=False)


def test_flag_for_smart_charging_only_colours_the_light() -> None:
    seen = controls([Observation(id=102, timestamp=NOW, value=True)])
    assert warnings.of_charger(_charger(), STATE, seen) == []


LATER = NOW + timedelta(minutes=1)
FAILURES = (
    *(errors.InverterBusy(""), errors.InverterUnsupported(""), errors.InverterImplausible("")),
    *(errors.BadCredentials(""), errors.RateLimited("", LATER), errors.Blocked("", LATER)),
    *(errors.NotPermitted("", LATER), errors.ChargerUnreachable(""), errors.ChargerUnknown("")),
    errors.InvalidAnswer(""),
)


def test_every_failure_has_usual_causes() -> None:
    for error in FAILURES:
        assert usual_causes(error), error
    for finding in Finding:
        assert usual_causes(errors.InverterBusy(""), finding), finding
