"""`easee-balancer demo`: the whole product with a simulated house, all on this machine."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr
from rich.console import Console

from easee_load_balancer.commands.cycle_lines import CycleLines
from easee_load_balancer.commands.output import print_addresses
from easee_load_balancer.orchestration.blocks import (
    ChargingPlan,
    ChargingPolicy,
    EaseeCharger,
    EaseeCredentials,
    HuaweiInverter,
    Site,
    SolarPlant,
    Tariff,
)
from easee_load_balancer.orchestration.prefect_stack import PrefectStack, start_cycles
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.system.processes import HOST, Child, StartError, free_port

_NO_CYCLE_S = 180.0
_CLOUD_DELAY_S = 10.0
DEMO_DAY = ("--day", "variable", "--start", "10:30", "--speed", "1")
"""Options of `easee-balancer simulate`."""


def run_demo(project: Path, folder: Path, cycles: int | None, console: Console) -> bool:
    """Start everything, print a line per cycle, and stop after `cycles` or at Ctrl-C.

    Returns whether every cycle succeeded. Raises StartError if something does not start.
    """
    console.print("Starting a Prefect server ...")
    stack = PrefectStack(folder, project)
    for old in stack.data_folder.glob("history.db*"):
        old.unlink()  # of another simulated house
    with (
        stack,
        temporary_settings({PREFECT_API_URL: stack.api_url}),
        get_client(sync_client=True) as client,
    ):
        console.print("Starting a simulated house and a worker ...")
        house, house_url = start_house(stack, *DEMO_DAY)
        asyncio.run(save_plan_blocks(house_url))
        before = _charger(house_url)
        stack.deploy_changes(client)
        lines = CycleLines(client, console)
        start_cycles(client)
        worker = stack.start_worker()
        print_addresses(console, stack.ui_url)
        console.print("One cycle every 30 s, the first in a moment; Ctrl-C stops everything.\n")
        try:
            while cycles is None or lines.completed < cycles:
                for child in (house, worker):
                    child.check()
                stack.rotate_logs()
                lines.print_new()
                if lines.silent_s > _NO_CYCLE_S:
                    raise StartError(f"No cycle has finished for {_NO_CYCLE_S:.0f} s.")
                time.sleep(1)
            after = _charger_after(house_url, before)
        except KeyboardInterrupt:
            console.print("\nStopping ...")
            after = _charger(house_url)
        changed = before != after
        console.print(
            f"\n{lines.completed} cycles completed, {lines.failed} failed. "
            f"Circuit current of the charger: {before} A, now {after} A."
        )
        return changed and not lines.failed if cycles is not None else True


def _charger(house_url: str) -> list[float]:
    """The simulated charger's dynamic circuit current per phase."""
    truth = httpx.get(f"{house_url}/admin/house", timeout=10).raise_for_status().json()
    current: list[float] = truth["charger"]["dynamic_circuit_current_a"]
    return current


def _charger_after(house_url: str, before: list[float]) -> list[float]:
    """The current once a command has reached the charger, which the cloud may delay."""
    deadline = time.monotonic() + _CLOUD_DELAY_S
    while (after := _charger(house_url)) == before and time.monotonic() < deadline:
        time.sleep(0.2)
    return after


def start_house(stack: PrefectStack, *options: str) -> tuple[Child, str]:
    """Start a simulated house and save its blocks; the process and the URL of its API."""
    modbus_port, api_port = free_port(), free_port()
    house_url = f"http://{HOST}:{api_port}"
    ports = ("--modbus-port", str(modbus_port), "--api-port", str(api_port))
    house = stack.start("house", "easee_load_balancer.cli", "simulate", *ports, *options)
    asyncio.run(demo_site(house_url, modbus_port).save())
    return house, house_url


async def save_plan_blocks(house_url: str) -> None:
    """Day-ahead prices, panels and departures, with the simulated house's own sources."""
    site = Site.DEFAULT
    blocks: tuple[Block, ...] = (
        Tariff(
            source="Energy-Charts",
            zone="SE4",
            address=f"{house_url}/sources/energy-charts",
            spot_surcharge=0.05,
            grid_fee=0.04,
            grid_fee_by_time=["Mon-Fri 06:00-22:00 0.08"],
            vat_pct=25,
            export_follows_spot=True,
        ),
        SolarPlant(
            latitude=55.6,
            longitude=13.0,
            peak_kw=10,
            address=f"{house_url}/sources/open-meteo",
        ),
        ChargingPlan(departures=["Mon-Fri 07:30-17:00 12 kWh", "Sun 10:00-13:00 8 kWh"]),
    )
    for block in blocks:
        await block.asave(site, overwrite=True)


def demo_site(house_url: str, modbus_port: int, cloud: CloudSpec | None = None) -> Site:
    """The blocks of a simulated house on this machine, to be saved as the default site."""
    cloud = cloud or CloudSpec()
    credentials = EaseeCredentials(
        user_name=cloud.user_name, password=SecretStr(cloud.password), base_url=house_url
    )
    charger = EaseeCharger(
        charger_id=cloud.charger_id,
        site_id=cloud.site_id,
        circuit_id=cloud.circuit_id,
    )
    return Site(
        Site.DEFAULT,
        HuaweiInverter(host=HOST, port=modbus_port),
        charger,
        credentials,
        ChargingPolicy(),
        Tariff(currency="EUR", import_price=0.30, export_price=0.08),
    )
