"""The setup wizard with simulated devices and a real terminal."""

from __future__ import annotations

import getpass
import re
import threading
from collections.abc import Iterator, Sequence
from io import StringIO
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from easee_load_balancer.commands import setup_wizard
from easee_load_balancer.commands.setup_answers import Answers
from easee_load_balancer.commands.setup_wizard import SavedBlocks, SetupWizard
from easee_load_balancer.devices.easee.discovery import FoundCharger
from easee_load_balancer.devices.huawei import discovery
from easee_load_balancer.devices.huawei.identity import Identity
from easee_load_balancer.errors import BadCredentials, ChargerUnknown, ConfigurationError
from easee_load_balancer.orchestration.blocks import (
    ChargingPolicy,
    EaseeCharger,
    HuaweiInverter,
    Site,
)
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.plant.plant import HouseSpec
from easee_load_balancer.simulation.server import SimulatedHouse
from easee_load_balancer.system.locks import SiteBusy, only_writer
from easee_load_balancer.system.processes import free_port
from easee_load_balancer.system.settings import Settings
from tests.support.setup_house import TWO, a_house_beside, answers
from tests.support.terminal import typing

QUICK = HuaweiInverter(host="127.0.0.1", settle_time_s=0.1, timeout_s=2.0)
SAVED = SavedBlocks(None, None, QUICK, None)


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEE_BALANCER_DATA_FOLDER", str(tmp_path))


@pytest.fixture(scope="module")
def two_chargers() -> Iterator[SimulatedHouse]:
    """A house for all tests that do not change it."""
    with a_house_beside(cloud=TWO) as house:
        yield house


Outcome = tuple[FoundCharger, HuaweiInverter, Identity | None, ChargingPolicy]


def go_through(given: Answers, said: StringIO, saved: SavedBlocks = SAVED) -> Outcome:
    """Answer all questions in order."""
    wizard = SetupWizard(given, Console(file=said, width=1000), saved)
    wizard.require_answers()
    _, charger = wizard.find_charger()
    policy = wizard.ask_fuse(charger)
    inverter, identity = wizard.find_inverter()
    return charger, inverter, identity, policy


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no terminal, no user": ({"user_name": None}, ConfigurationError, "set --user-name"),
    "no terminal, no password": ({"password": None}, ConfigurationError, "EASEE_PASSWORD"),
    "no terminal, nothing": (
        {"user_name": None, "password": None},
        *(ConfigurationError, r"set --user-name, the environment variable EASEE_PASSWORD\.$"),
    ),
    "two chargers": ({}, ConfigurationError, "set --charger"),
    "another charger": ({"charger": "EH9"}, ConfigurationError, "which has: EH123456, EH123457"),
    "fuse in words": ({"charger": "1", "fuse": "big"}, ConfigurationError, "--fuse: 'big'"),
    "fuse too big": ({"charger": "1", "fuse": "900"}, ConfigurationError, "--fuse: .*200"),
    "no port": ({"charger": "1", "inverter": "host:x"}, ConfigurationError, "not a port"),
    "no address": ({"charger": "1", "inverter": "a b"}, ConfigurationError, "not an address"),
    "closed port": ({"charger": "1", "inverter": "CLOSED"}, ConfigurationError, "Nothing was"),
    "web server": ({"charger": "1", "inverter": "WEB"}, ConfigurationError, "Nothing was saved"),
    "API without encryption": ({"api": "http://192.0.2.7"}, ConfigurationError, "https"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_invalid_answer_is_refused_with_a_message(
    name: str, two_chargers: SimulatedHouse
) -> None:
    changes, error, sentence = REFUSED[name]
    web = two_chargers.api_url.rpartition("/")[2]
    places = {"CLOSED": f"127.0.0.1:{free_port()}", "WEB": web}
    given = {key: places.get(value, value) for key, value in changes.items()}
    with pytest.raises(error, match=sentence):
        go_through(answers(two_chargers, **given), StringIO())


def test_flags_answer_every_question(two_chargers: SimulatedHouse) -> None:
    given = answers(two_chargers, charger="eh123457", fuse="20")
    charger, inverter, identity, policy = go_through(given, StringIO())
    assert (charger.id, charger.site.id, charger.circuit.id) == ("EH123457", 54321, 12345)
    assert (inverter.port, inverter.unit_id) == (two_chargers.modbus_port, 1)
    assert (inverter.timeout_s, policy.main_fuse_a) == (QUICK.timeout_s, 20)
    assert identity is not None
    assert identity.meter == "three phases"


def test_saved_values_answer_the_other_questions(two_chargers: SimulatedHouse) -> None:
    saved = SavedBlocks(
        None,
        EaseeCharger(charger_id="EH123457", site_id=1, circuit_id=2),
        QUICK.model_copy(update={"port": two_chargers.modbus_port, "unit_id": 0}),
        ChargingPolicy(mode="fast", main_fuse_a=35),
    )
    given = answers(two_chargers, inverter=None, fuse=None)
    charger, inverter, _, policy = go_through(given, StringIO(), saved)
    assert (charger.id, charger.circuit.id) == ("EH123457", 12345)
    assert (inverter.port, inverter.unit_id) == (two_chargers.modbus_port, 0)
    assert (policy.mode, policy.main_fuse_a) == ("fast", 35)


def test_a_wrong_password_is_sent_once() -> None:
    with a_house_beside() as house:
        for _ in range(2):
            with pytest.raises(BadCredentials, match="rejected the user name or password"):
                go_through(answers(house, password="wrong"), StringIO())
        assert house.cloud.calls["POST /api/accounts/login"] == 1
        go_through(answers(house), StringIO())


def hidden(monkeypatch: pytest.MonkeyPatch, passwords: Sequence[str]) -> None:
    """Type these where nothing is shown; getpass would read from the terminal of the tests."""
    typed = iter(passwords)
    monkeypatch.setattr(getpass, "getpass", lambda *_: next(typed))


def test_asks_for_a_wrong_password_again_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_house_beside() as house:
        right = house.cloud.spec.password
        asked = answers(house, password=None)
        said = StringIO()
        with typing(monkeypatch, []):
            hidden(monkeypatch, ["wrong", "worse", right])
            charger, *_ = go_through(asked, said)
            assert charger.id == "EH123456"
            assert said.getvalue().count("rejected the user name or password") == 2
            assert house.cloud.calls["POST /api/accounts/login"] == 3
            hidden(monkeypatch, ["bad", "worst", "no", right])
            with pytest.raises(BadCredentials):
                go_through(asked, said)
        assert house.cloud.calls["POST /api/accounts/login"] == 6


def test_without_a_terminal_all_missing_answers_are_named_before_anything_is_tried(
    two_chargers: SimulatedHouse,
) -> None:
    calls = two_chargers.cloud.calls.total()
    wanted = r"set --user-name, the environment variable EASEE_PASSWORD, --inverter or --search\.$"
    with pytest.raises(ConfigurationError, match=wanted):
        go_through(Answers(api=two_chargers.api_url), StringIO(), SavedBlocks(*[None] * 4))
    assert two_chargers.cloud.calls.total() == calls


def test_without_a_terminal_the_fuse_is_the_one_that_the_account_knows(
    two_chargers: SimulatedHouse,
) -> None:
    said = StringIO()
    *_, policy = go_through(answers(two_chargers, charger="1", fuse=None), said)
    assert policy.main_fuse_a == two_chargers.plant.spec.main_fuse_a
    assert f"Main fuse: {policy.main_fuse_a} A, as the Easee account says" in said.getvalue()


def test_without_a_terminal_an_impossible_fuse_in_the_account_is_refused() -> None:
    with (
        a_house_beside(HouseSpec(battery=None, main_fuse_a=400)) as house,
        pytest.raises(ConfigurationError, match=r"--fuse: .*200"),
    ):
        go_through(answers(house, fuse=None), StringIO())


def test_a_search_holds_the_lock_of_the_site_only_while_it_asks_a_device(
    monkeypatch: pytest.MonkeyPatch, two_chargers: SimulatedHouse
) -> None:
    """Cycles go on while 254 hosts are tried."""
    lines: list[tuple[str, bool]] = []

    def busy() -> bool:
        try:
            with only_writer(Settings().folder, Site.DEFAULT):
                return False
        except SiteBusy:
            return True

    def say(_: SetupWizard, line: str) -> None:
        lines.append((line, busy()))

    monkeypatch.setattr(SetupWizard, "_say", say)
    monkeypatch.setattr(setup_wizard, "own_network", lambda: IPv4Network("127.0.0.1/32"))
    monkeypatch.setitem(cast(dict[int, Any], discovery.PORTS), two_chargers.modbus_port, (1,))
    go_through(answers(two_chargers, charger="1", inverter="search"), StringIO())
    (scan, during_scan), *asking = lines
    assert scan.startswith("Looking for open Modbus ports")
    assert not during_scan
    assert asking
    assert all(held for _, held in asking)


def test_waits_when_the_cloud_asks_for_a_short_pause() -> None:
    with a_house_beside() as house:
        go_through(answers(house), StringIO())
        house.faults.api_status, house.faults.api_retry_after_s = 429, 1
        said = StringIO()
        wizard = SetupWizard(answers(house), Console(file=said, width=1000), SAVED)
        threading.Timer(0.5, lambda: setattr(house.faults, "api_status", None)).start()
        _, charger = wizard.find_charger()
        assert charger.id == "EH123456"
        assert re.search(r"Waiting \d s", said.getvalue())


def test_saves_an_inverter_that_is_asleep_without_testing_on_request() -> None:
    with a_house_beside(start_s=23 * 3600, day="clear") as house:
        said = StringIO()
        _, inverter, identity, _ = go_through(answers(house, asleep=True, unit_id=1), said)
    assert (inverter.port, inverter.unit_id, identity) == (house.modbus_port, 1, None)
    assert "accepts the connection and does not answer" in said.getvalue()
    assert "answers only in daylight" in said.getvalue()


def test_an_account_without_chargers_is_an_error() -> None:
    with a_house_beside() as house:
        house.cloud.spec = CloudSpec(charger_id="", rate_limits=False)
        with pytest.raises(ChargerUnknown, match="no charger"):
            go_through(answers(house), StringIO())


def test_asks_again_after_an_invalid_answer(
    monkeypatch: pytest.MonkeyPatch, two_chargers: SimulatedHouse
) -> None:
    monkeypatch.setattr(setup_wizard, "own_network", lambda: None)
    address = f"127.0.0.1:{two_chargers.modbus_port}"
    closed = f"127.0.0.1:{free_port()}"
    typed = ["3", "2", "x", "", "127.0.0.1:0", closed, "search", address]
    output = StringIO()
    with typing(monkeypatch, typed):
        charger, inverter, _, policy = go_through(
            answers(two_chargers, inverter=None, fuse=None), output
        )
    said = output.getvalue()
    assert "'3' is not a charger" in said
    assert "'0' is not a port" in said
    assert "refuses the connection" in said
    assert "no private network to search" in said
    assert "'x' is not a number" in said
    assert charger.id == "EH123457"
    assert inverter.port == two_chargers.modbus_port
    assert policy.main_fuse_a == two_chargers.plant.spec.main_fuse_a
