"""Setup's questions about several chargers, typed at a real terminal."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from easee_load_balancer.commands.prompts import Prompts
from easee_load_balancer.commands.several_chargers import ask_others, beside
from easee_load_balancer.devices.easee.discovery import FoundCharger
from easee_load_balancer.devices.easee.models import AccountCharger, Circuit, EaseeSite
from easee_load_balancer.orchestration.other_chargers import OtherCharger, OtherChargers
from tests.support.terminal import typing


def found(id_: str, name: str, circuit: int, site: int = 1) -> FoundCharger:
    chargers = (AccountCharger.model_validate({"id": id_, "name": name}),)
    on = Circuit.model_validate(
        {"id": circuit, "siteId": site, "ratedCurrent": 20, "chargers": chargers}
    )
    home = EaseeSite.model_validate({"id": site, "circuits": (on,)})
    return FoundCharger(id_, name, home, on)


FIRST, GARAGE = found("EH123456", "Carport", 7), found("EH200001", "Garage", 7)
GUESTS, CABIN = found("EH200002", "Guests/left", 8), found("EH200003", "Cabin", 9, site=2)


def asked(
    monkeypatch: pytest.MonkeyPatch,
    lines: list[str],
    saved: OtherChargers | None = None,
    first_name: str | None = None,
) -> tuple[OtherChargers | None, str]:
    said = StringIO()
    console = Console(file=said, width=1000)
    with typing(monkeypatch, lines):
        answer = ask_others(Prompts(console), console, FIRST, [GARAGE, GUESTS], saved, first_name)
    return answer, said.getvalue()


def test_only_chargers_of_the_same_home_are_asked_about() -> None:
    assert beside(FIRST, [FIRST, GARAGE, GUESTS, CABIN]) == [GARAGE, GUESTS]
    assert beside(CABIN, [FIRST, GARAGE, CABIN]) == []


def test_priorities_are_asked_and_zero_leaves_a_charger_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer, said = asked(monkeypatch, ["", "x", "2", "0"])
    assert answer is not None
    assert (answer.first_name, answer.first_priority) == ("Carport", 1)
    assert [(one.name, one.priority, one.circuit_id) for one in answer.chargers] == [
        ("Garage", 2, 7)
    ]
    assert "Garage (EH200001), circuit 7, 20 A" in said
    assert "'x' is not a number from 0 to 9" in said
    assert asked(monkeypatch, ["1", "0", "0"])[0] is None


def test_a_charger_with_the_name_of_another_one_is_called_by_its_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(globals(), "GARAGE", found("EH200001", "Carport", 7))
    answer, _ = asked(monkeypatch, ["", "", ""])
    assert answer is not None
    assert [answer.first_name, *(one.name for one in answer.chargers)] == [
        *("Carport", "EH200001", "Guests-left")
    ]


def test_a_further_setup_keeps_what_was_changed_in_the_ui(monkeypatch: pytest.MonkeyPatch) -> None:
    garage = OtherCharger(
        charger_id="EH200001", site_id=1, circuit_id=6, name="Barn", priority=3, mode="fast"
    )
    saved = OtherChargers(first_name="Drive", first_priority=2, chargers=[garage])
    answer, _ = asked(monkeypatch, ["", "", ""], saved, "Drive")
    assert answer is not None
    assert (answer.first_name, answer.first_priority) == ("Drive", 2)
    assert answer.chargers == [garage.model_copy(update={"circuit_id": 7})]


def test_without_a_terminal_the_saved_chargers_stay() -> None:
    saved = OtherChargers()
    console = Console(file=StringIO())
    assert ask_others(Prompts(console), console, FIRST, [GARAGE], saved) is saved
