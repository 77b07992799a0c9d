"""`easee-balancer setup` and `check` with blocks and simulated devices."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from prefect.variables import Variable
from rich.console import Console
from typer.testing import CliRunner

from easee_load_balancer.cli import app
from easee_load_balancer.commands import calibrate
from easee_load_balancer.commands.check import run_check
from easee_load_balancer.commands.setup import ask_and_save
from easee_load_balancer.control.boost import Boost
from easee_load_balancer.control.car_model import CarModel
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.history.store import open_history
from easee_load_balancer.history.tables import Cycle
from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint
from easee_load_balancer.orchestration.blocks import (
    BLOCKS,
    ChargingPolicy,
    HuaweiInverter,
    Site,
    load_block,
    load_if_saved,
)
from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.orchestration.time_zone_variable import TIME_ZONE, zone_variable
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.plant.charger import ChargerSpec
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec
from easee_load_balancer.simulation.server import SimulatedHouse
from easee_load_balancer.system.locks import PoolLock
from easee_load_balancer.system.settings import Settings
from tests.support.home import data_folder, prefect_server
from tests.support.paths import PROJECT
from tests.support.setup_house import a_house_beside, answers
from tests.support.site import SITE

__all__ = ["data_folder", "prefect_server"]

TIMEOUT_S = 1.0
PECULIAR = HouseSpec(
    battery=BatterySpec(),
    meter_phases=1,
    charger=ChargerSpec(authorization_required=True, schedule=(0, 360)),
)


@pytest.fixture(autouse=True)
def quick_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of the meter's sign that take no time in a house whose clock stands still."""
    monkeypatch.setattr(calibrate, "SAMPLE_EVERY_S", 0.0)


@pytest.fixture(autouse=True)
def nothing_saved(prefect_server: PrefectStack) -> None:
    """No blocks but an inverter with short timeouts."""

    async def forget() -> None:
        for kind in reversed(BLOCKS):
            block = await load_if_saved(kind, SITE)
            if block is not None:
                await kind.adelete(SITE)
        quick = HuaweiInverter(host="127.0.0.1", settle_time_s=0.1, timeout_s=TIMEOUT_S)
        await quick.asave(SITE, overwrite=True)

    asyncio.run(forget())


def set_up(house: SimulatedHouse, **changes: Any) -> str:
    """The output of setup, on one line."""
    said = StringIO()
    ask_and_save(answers(house, **changes), Console(file=said, width=1000))
    return re.sub(r"\s+", " ", said.getvalue())


async def hold_wanted() -> None:
    """Change that one setting."""
    policy = await load_block(ChargingPolicy, SITE)
    policy.hold_battery = True
    await policy.asave(SITE, overwrite=True)


def check() -> tuple[bool, str]:
    """Whether a check could read everything, and its output on one line."""
    said = StringIO()
    good = run_check(PROJECT, 1, watch=False, console=Console(file=said, width=1000))
    assert "/decisions" in said.getvalue()
    return good, re.sub(r"\s+", " ", said.getvalue())


def saved() -> Site:
    """The blocks."""
    return asyncio.run(Site.load(SITE))


def saved_inverter() -> HuaweiInverter:
    """Its block."""
    block = asyncio.run(load_if_saved(HuaweiInverter, SITE))
    assert block is not None
    return block


def saved_names() -> set[str]:
    """Which blocks there are."""

    async def look() -> set[str]:
        found = {kind.__name__: await load_if_saved(kind, SITE) for kind in BLOCKS}
        return {name for name, block in found.items() if block is not None}

    return asyncio.run(look())


def test_setup_shows_and_saves_what_it_finds() -> None:
    with a_house_beside(PECULIAR, CloudSpec(equalizer_id="QP123456")) as house:
        said = set_up(house, time_zone="Europe/Oslo", currency="NOK", import_price="1.2")
        for sentence in (
            "Battery │ 10 kWh",
            "Time zone │ Europe/Oslo",
            "unlocked for each car",
            "Equalizer is installed",
            "schedule of its own",
            "protected on that phase only",
            "falls back to 16 A",
        ):
            assert sentence in said
        site = saved()
        assert site.charger.circuit_id == house.cloud.spec.circuit_id
        assert site.credentials.base_url == house.api_url
        assert (site.inverter.port, site.inverter.timeout_s) == (house.modbus_port, TIMEOUT_S)
        assert site.policy.main_fuse_a == 25
        assert (site.tariff.currency, site.tariff.import_price) == ("NOK", 1.2)
        assert Variable.get(TIME_ZONE) == "Europe/Oslo"
        assert house.cloud.spec.password not in said
        assert house.cloud.writes == 1  # the present current once more: may this login do that?


@pytest.mark.parametrize("status", [403, 400, None])
def test_setup_says_whether_the_login_may_control_the_charger(status: Any) -> None:
    with a_house_beside() as house:
        before = house.plant.charger.dynamic_circuit_current_a
        house.faults.api_command_status = status
        said = set_up(house)
        assert ("may read the charger but not control it" in said) == (status == 403)
        assert saved().charger.charger_id == house.cloud.spec.charger_id
        assert house.plant.charger.dynamic_circuit_current_a == before


@pytest.mark.parametrize("kind", ["cascade", "emma", "smartlogger"])
def test_setup_finds_the_whole_plant_and_check_reads_it(kind: str) -> None:
    inverter = {"plant": kind, "settle_s": 0.0}
    with a_house_beside(HouseSpec(), inverter=inverter) as house:
        said = set_up(house)
        assert "Devices behind this address:" in said
        assert said.count("serial number HV2140012346, unit 2") == 1
        assert "Battery │ 10 kWh" in said
        assert "Grid meter │ three phases" in said
        block = saved().inverter
        assert (block.plant, block.timeout_s) == (kind, TIMEOUT_S)
        assert block.settle_time_s == (0.1 if kind == "single" else None)
        good, said = check()
        assert good, said
        assert "Would send" in said
        assert f"{house.plant.pv_w / 1000:.2f} kW" in said


@pytest.mark.parametrize("kind", ["single", "emma"])
def test_setup_refuses_a_meter_that_counts_backwards(kind: str) -> None:
    evening = Day("evening", pv_w=(300.0,) * 1440, load_w=(1500.0,) * 1440)
    inverter = {"plant": kind, "settle_s": 0.0, "meter_reversed": True}
    with a_house_beside(HouseSpec(battery=None), inverter=inverter, day=evening) as house:
        house.plant.car.unplug()
        house.advance(10)
        with pytest.raises(ConfigurationError, match=r"counts the wrong way.*Nothing was"):
            set_up(house)
        assert saved_names() == {"HuaweiInverter"}
        assert saved_inverter().port != house.modbus_port
        said = set_up(house, meter_backwards=True)
        assert "sign is right" in said
        assert saved_inverter().meter_counts_backwards


def test_a_second_setup_changes_only_the_new_answers() -> None:
    with a_house_beside() as house:
        set_up(house)
        asyncio.run(ChargingPolicy(mode="fast").asave(SITE, overwrite=True))
        nothing = dict.fromkeys(("user_name", "password", "api", "inverter"))
        set_up(house, **nothing, fuse="20")
        site = saved()
        assert (site.policy.mode, site.policy.main_fuse_a) == ("fast", 20)
        assert (site.inverter.timeout_s, site.inverter.port) == (TIMEOUT_S, house.modbus_port)
        assert site.credentials.password.get_secret_value() == house.cloud.spec.password
        assert house.cloud.tokens.logins == 1


def test_a_setup_that_fails_at_the_last_question_saves_nothing() -> None:
    with a_house_beside() as house:
        arguments = ["--user-name", "owner@example.com", "--api", house.api_url]
        inverter = f"127.0.0.1:{house.modbus_port}"
        result = CliRunner().invoke(
            app,
            ["setup", *arguments, "--inverter", inverter, "--fuse", "big"],
            env={"EASEE_PASSWORD": house.cloud.spec.password},
        )
    assert result.exit_code == 1
    assert "--fuse: 'big' is not a number" in result.output
    assert house.cloud.spec.password not in result.output
    assert saved_names() == {"HuaweiInverter"}


def test_check_shows_what_would_be_sent_and_sends_nothing() -> None:
    with a_house_beside() as house:
        set_up(house)
        writes = house.cloud.writes
        good, said = check()
        assert good
        assert "Battery hold" not in said
        assert "SUN2000-10KTL-M1, serial number HV2140012345" in said
        assert "circuit current" in said
        assert "surplus" in said
        assert "falls back to 16 A" in said
        assert house.cloud.writes == writes
        assert not (Settings().folder / "history.db").exists()


def test_check_says_whether_the_battery_can_be_held_if_the_owner_wants_that() -> None:
    with a_house_beside(house=HouseSpec(battery=BatterySpec())) as house:
        set_up(house)
        asyncio.run(hold_wanted())
        good, said = check()
        assert good
        assert "Battery hold │ possible: the inverter has the registers" in said
        assert house.inverter.battery_writes.done == []


def test_check_obeys_an_active_boost() -> None:
    with a_house_beside() as house:
        set_up(house)
        boosts = open_history(Settings().database_url).boosts
        asked = Boost.asked(11, "unplugged", "UTC", datetime.now(UTC))
        boosts.begin(SITE, "a run", asked)
        good, said = check()
        assert good
        assert "Would send │ 11 A x 3" in said
        assert "boost until unplugged" in said
        still = boosts.under_way(SITE)
        assert still is not None
        assert still.request == asked


def test_check_prints_usual_causes() -> None:
    with a_house_beside() as house:
        set_up(house)
        house.faults.modbus = "refuse"
        house.faults.api_status = 503
        good, said = check()
        assert not good
        assert "nothing listens on that port" in said
        assert "Modbus TCP is disabled" in said
        assert "answers 503" in said
        assert "status.easee.com" in said


def test_check_fails_without_a_meter_or_after_the_charger_was_moved() -> None:
    with a_house_beside(HouseSpec(battery=None, meter_phases=0)) as house:
        said = set_up(house)
        assert "grid meter does not answer" in said
        assert "protected on that phase only" not in said
        house.cloud.spec = CloudSpec(circuit_id=777, rate_limits=False)
        good, said = check()
        assert not good
        assert "no longer on site 54321, circuit 12345" in said


def test_check_reads_the_devices_also_without_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_house_beside() as house:
        set_up(house)
        monkeypatch.setenv("EASEE_BALANCER_HISTORY_URL", "sqlite:////nowhere/history.db")
        good, said = check()
    assert not good
    assert "could not be opened" in said
    assert "Would send" in said


def test_check_before_setup_exits_with_2() -> None:
    result = CliRunner().invoke(app, ["check"])
    assert result.exit_code == 2
    assert "There is no block" in result.output


def test_check_does_not_read_the_inverter_while_a_balancer_runs() -> None:
    with a_house_beside() as house:
        set_up(house)
        now, before = datetime.now(UTC), house.inverter.connections
        cycle = Cycle.of(
            site=SITE,
            scheduled_at=now,
            at=now,
            run_id="a run",
            mode="solar",
            inverter=InverterReading(now, 3210.0, 0.0, None, False, 4000.0, 4000.0),
            charger=ChargerState.unknown(now),
            decision=Decision(
                Setpoint(7, 1),
                False,
                "7 A x 1: some sun",
                ControllerState(
                    car=CarModel(lines={1: 1, 3: 2}, factors={1: 1.0, 3: 2.0}, draws_a={16: 13.04}),
                    wiring={0: 2},
                ),
            ),
        )
        open_history(Settings().database_url).record(cycle)
        worker = PoolLock(Settings().folder, "home")
        try:
            good, said = check()
        finally:
            worker.release()
        assert good
        assert "balancer is running on this machine" in said
        assert "3.21 kW exported" in said
        assert "7 A x 1: some sun" in said
        for known in (
            "Car offered 1 phase │ uses 1 phase, 230 W per A",
            "Car offered 3 phases │ uses 2 phases, 460 W per A",
            "Car offered 16 A │ draws 13.0 A",
            "Wiring │ charger L1 = house L3",
        ):
            assert known in said
        assert house.inverter.connections == before
        good, said = check()
        assert "is running on this machine" not in said
        assert house.inverter.connections == before + 1


def test_a_further_site_has_its_own_blocks_and_time_zone() -> None:
    Variable.set(TIME_ZONE, "Europe/Stockholm", overwrite=True)
    with a_house_beside() as house:
        set_up(house, site="cabin", fuse="16", time_zone="Europe/Helsinki")
    assert asyncio.run(Site.load("cabin")).policy.main_fuse_a == 16
    assert saved_names() == {"HuaweiInverter"}  # home's are as before
    zones = [Variable.get(zone_variable(site)) for site in ("home", "cabin", "barn")]
    assert zones == ["Europe/Stockholm", "Europe/Helsinki", None]
