"""The page of now: its headline, what it says of health, and its picture."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.energy.day_so_far import DaySoFar, Sample
from easee_load_balancer.integrations.snapshot import Snapshot
from easee_load_balancer.measurements import (
    BatteryHold,
    ChargerMode,
    InverterReading,
    ReasonForNoCurrent,
    Setpoint,
)
from easee_load_balancer.periods import bounds
from easee_load_balancer.reports.now_page import Now, limited_by, now_headline, now_page
from easee_load_balancer.reports.now_picture import day_svg
from tests.support.control_readings import NOW, charger, inverter, told
from tests.support.simulated_day import STOCKHOLM
from tests.support.snapshots import snapshot

BOOST = Boost(current_a=10, started_at=NOW)


def paused(mode: ChargerMode, surplus_w: float | None = 800.0, **other: Any) -> Snapshot:
    """A cycle in which the car gets nothing."""
    known = snapshot(charger=charger(0, mode=mode), inverter=inverter(800.0), **other)
    return decided(known, setpoint=Setpoint(0, 3), state=told(0), surplus_w=surplus_w)


def decided(known: Snapshot, **other: Any) -> Snapshot:
    return replace(known, decision=replace(known.decision, **other))


WAITS = ChargerMode.AWAITING_START
CASES = {
    "charging": (snapshot(), "Charging 10 A x 3: 6.9 kW, 4.0 of it solar"),
    "boost": (snapshot(boost=BOOST), "Boost, charging 10 A x 3: 6.9 kW, 4.0 of it solar"),
    "charging, plant unknown": (
        snapshot(inverter=InverterReading.unknown(NOW)),
        "Charging 10 A x 3: 6.9 kW",
    ),
    "failed while charging": (
        snapshot(outcome="failed"),
        "Charging 10 A x 3: 6.9 kW, 4.0 of it solar, but the last cycle failed",
    ),
    "attention": (
        decided(snapshot(), attention="drawing more current than commanded"),
        "Charging 10 A x 3: 6.9 kW, 4.0 of it solar. "
        "Needs attention: drawing more current than commanded",
    ),
    "no car": (paused(ChargerMode.DISCONNECTED), "No car connected, 0.8 kW of surplus"),
    "too little sun": (paused(WAITS), "Not charging, 0.8 kW of surplus"),
    "off": (paused(WAITS, policy=Policy(mode="off")), "Off: the charger is left alone"),
    "full": (
        decided(snapshot(charger=charger(0, mode=ChargerMode.COMPLETED)), setpoint=Setpoint(6, 1)),
        "The car is offered 6 A x 1 but draws nothing",
    ),
    "starting": (
        decided(
            snapshot(charger=charger(0, mode=ChargerMode.READY_TO_CHARGE)),
            setpoint=Setpoint(7, 1),
            reason="7 A x 1: the car is starting; surplus 2.6 kW",
        ),
        "The car is starting with 7 A x 1",
    ),
    "night": (
        replace(paused(WAITS, None), inverter=InverterReading.sleeping(NOW)),
        "Not charging: the sun is down",
    ),
    "failed": (paused(WAITS, outcome="failed"), "The last cycle failed"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_headline_says_what_the_car_does_and_why(case: str) -> None:
    known, expected = CASES[case]
    assert now_headline(known) == expected


def a_day() -> DaySoFar:
    day = DaySoFar(*bounds(NOW.date(), STOCKHOLM))
    for minute in range(121):
        at = NOW + timedelta(minutes=minute - 120)
        day.add(Sample(at, 5000.0, 0.0, 0.0, 4000.0))
    return day


def page(known: Snapshot, **other: Any) -> str:
    day = a_day()
    now = Now(known, STOCKHOLM, day, day_svg(day, STOCKHOLM), NOW, **other)
    return now_page(now)


def test_the_page_answers_the_three_questions() -> None:
    text = page(snapshot(), cloud_calls=212)
    assert text.startswith("# Charging 10 A x 3: 6.9 kW, 4.0 of it solar\n\n**14:00:00**, home: ")
    assert "| **Car** | 6.9 | 8.0 |\n| from solar | 4.0 | 8.0 |" in text
    assert "| Last good cycle | 14:00:00 |" in text
    assert "| Easee cloud | 212 calls today |" in text
    assert "| Warnings | none |" in text
    assert "\n\n**Today:** 8.0 kWh in the car, 8.0 of it solar. **Everything is well.**\n\n" in text
    assert "8.0 of it solar, 0.00 EUR saved. **Ev" in page(snapshot(currency="EUR"))
    assert "is well.**" not in page(decided(snapshot(), attention="the grid is gone"))
    assert "is well.**" not in page(snapshot(outcome="failed"))
    assert "battery" not in text.lower()  # a house without one
    with_battery = page(
        decided(snapshot(battery=True), state=told(10, has_battery=True, hold=BatteryHold.LIMIT))
    )
    assert "| from battery |" in with_battery
    assert "| Battery | – %, kept out of the car |" in with_battery  # noqa: RUF001
    planned = page(snapshot(plan="ready by 7:00: 8 kWh from 1:15."))
    assert "**Plan:** ready by 7:00: 8 kWh from 1:15. ([its page](/" in planned


def test_a_paused_charge_says_when_it_starts() -> None:
    starts = "Charging starts about 60 s after the surplus reaches 1.4 kW"
    assert starts in page(paused(WAITS))
    assert "starts" not in page(snapshot())
    assert "starts" not in page(paused(WAITS, policy=Policy(mode="fast")))
    three = page(paused(WAITS, policy=Policy(phases="3", export_margin_w=100)))
    assert "reaches 4.2 kW" in three


def test_other_controllers_and_failures_are_named() -> None:
    reason = ReasonForNoCurrent.LIMITED_BY_EQUALIZER
    limited = snapshot(charger=charger(8, reason_for_no_current=reason))
    assert limited_by(limited) == "the Equalizer allows 8 A"
    assert "| Limited by | the Equalizer allows 8 A |" in page(limited)
    lower = decided(snapshot(), state=told(10, external_limit_a=(8.0, 8.0, 8.0)))
    assert limited_by(lower) == "another controller allows 8 / 8 / 8 A"
    assert limited_by(snapshot()) == ""
    failed = page(snapshot(outcome="failed", reason="no answer\nfrom the | inverter"))
    assert "| Warnings | No answer from the / inverter |" in failed


@pytest.mark.parametrize("day", ["2026-03-29", "2026-06-21", "2026-10-25"])
def test_the_picture_is_small_and_valid(day: str) -> None:
    start, end = bounds(NOW.date().fromisoformat(day), STOCKHOLM)
    known = DaySoFar(start, end)
    for step in range(2 * 23 * 60):
        power = 100.0 * (step % 97)
        at = start + timedelta(seconds=30 * step)
        known.add(Sample(at, power, power / 2, -power / 3, power / 4))
    for svg in (day_svg(known, STOCKHOLM), day_svg(DaySoFar(start, end), STOCKHOLM)):
        assert len(svg) < 5000
        texts = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
        assert {"Today, kW", "PV", "0", "21"} <= {one.text for one in texts}
