"""The whole house: clock, servers and command line."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sys
import time

import httpx
import pytest
from typer.testing import CliRunner

from easee_load_balancer.cli import app
from easee_load_balancer.simulation import server as run
from easee_load_balancer.simulation.server import HOST, RunSpec, running_house
from tests.support.waiting import until


async def test_house_listens_until_it_is_stopped() -> None:
    async with running_house(RunSpec(speed=0)) as house:
        _, modbus = await asyncio.open_connection(HOST, house.modbus_port)
        async with httpx.AsyncClient(verify=False) as client:
            answer = await client.get(f"{house.api_url}/admin/house")
        assert answer.json()["inverter"]["connections"] == 1
        modbus.close()
    for port in (house.modbus_port, int(house.api_url.rpartition(":")[2])):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, port)


async def test_stop_does_not_wait_for_an_open_request() -> None:
    began_s = time.monotonic()
    async with httpx.AsyncClient(verify=False) as client:
        async with running_house(RunSpec(speed=0)) as house:
            await client.get(f"{house.api_url}/admin/house")
            house.faults.api_delay_s = 120
            waiting = asyncio.create_task(client.get(f"{house.api_url}/api/chargers"))
            await until(lambda: house.cloud.calls)
        assert (await waiting).status_code == 500
    assert time.monotonic() - began_s < 60


async def test_short_requests_are_not_delayed_by_nagle() -> None:
    async with running_house(RunSpec(speed=0)) as house, httpx.AsyncClient(verify=False) as client:
        took_s = []
        for _ in range(20):
            began_s = time.monotonic()
            await client.post(f"{house.api_url}/api/accounts/login", json={})
            took_s.append(time.monotonic() - began_s)
    assert min(took_s) < 0.035  # Nagle's algorithm would add 40 ms to each


async def test_simulated_time_passes_at_the_chosen_speed() -> None:
    async with running_house(RunSpec(speed=1000)) as house:
        start_s, began_s = house.plant.clock_s, time.monotonic()
        await until(lambda: house.plant.clock_s >= start_s + 100, every_s=0.01)
        passed_s = time.monotonic() - began_s
        assert house.plant.clock_s - start_s <= passed_s * 1000 + 50


async def test_long_pause_is_not_caught_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_CATCH_UP_S", 0.1)
    async with running_house(RunSpec(speed=100)) as house:
        await asyncio.sleep(0.06)
        start_s = house.plant.clock_s
        time.sleep(1.0)  # noqa: ASYNC251
        await until(lambda: house.plant.clock_s > start_s, every_s=0.01)
        assert house.plant.clock_s - start_s <= 60


async def test_port_in_use_is_an_os_error() -> None:
    async with running_house(RunSpec(speed=0)) as house:
        api_port = int(house.api_url.rpartition(":")[2])
        for taken in (RunSpec(api_port=api_port), RunSpec(modbus_port=house.modbus_port)):
            with pytest.raises(OSError, match="in use"):
                async with running_house(taken):
                    pass


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--start", "25:00"], "not a time of day"),
        (["--start", "noon"], "not a time of day"),
        (["--day", "nowhere.csv"], "neither clear"),
        (["--day", __file__], "is not a day"),
        (["--phases", "2"], "--phases"),
        (["--speed", "0"], "--speed"),
        (["--battery-soc", "101"], "--battery-soc"),
        (["--car-max-current", "5"], "--car-max-current"),
        (["--modbus-port", "70000"], "--modbus-port"),
    ],
)
def test_invalid_options_are_explained(arguments: list[str], sentence: str) -> None:
    result = CliRunner().invoke(app, ["simulate", *arguments])
    assert result.exit_code == 2
    assert sentence in re.sub(r"[\s│]+", " ", result.output)


async def test_port_in_use_is_explained() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        result = await asyncio.to_thread(CliRunner().invoke, app, ["simulate", "--api-port", port])
    assert result.exit_code == 1
    assert "in use" in result.output


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
async def test_command_runs_a_house_until_it_is_stopped(stop: signal.Signals) -> None:
    arguments = "--modbus-port 0 --api-port 0 --day overcast --start 09:30 --no-battery --phases 1"
    house = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "easee_load_balancer.cli", "simulate", *arguments.split()),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert house.stdout is not None
        line = (await asyncio.wait_for(house.stdout.readline(), 60)).decode()
        assert line.startswith("House ready: inverter at 127.0.0.1:")
        async with httpx.AsyncClient(verify=False) as client:
            seen = (await client.get(f"{line.split()[-1]}/admin/house")).json()
        assert seen["clock"].startswith("09:3")
        assert (seen["day"], seen["battery"]) == ("overcast", None)
        assert seen["grid_export_phase_w"][1:] == [0, 0]
        house.send_signal(stop)
        out, errors = await asyncio.wait_for(house.communicate(), 60)
        assert (house.returncode, out, errors) == (0, b"", b"")
    finally:
        if house.returncode is None:
            house.kill()
            await house.wait()
