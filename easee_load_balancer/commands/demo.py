"""`easee-balancer demo`: the whole product with a simulated house, all on this machine."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape

from easee_load_balancer.orchestration.blocks import (
    ChargingPolicy,
    EaseeCharger,
    EaseeCredentials,
    HuaweiInverter,
    Site,
    Tariff,
)
from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.system.processes import HOST, Child, StartError, free_port

_NO_CYCLE_S = 180.0
DEMO_DAY = ("--day", "variable", "--start", "10:30", "--speed", "4")
"""Options of `easee-balancer simulate`."""

_COLOURS = {
    StateType.COMPLETED: "green",
    StateType.FAILED: "red",
    StateType.CRASHED: "red",
    StateType.CANCELLED: "yellow",
}


def run_demo(project: Path, folder: Path, cycles: int | None, console: Console) -> bool:
    """Start everything, print a line per cycle, and stop after `cycles` or at Ctrl-C.

    Returns whether every cycle succeeded. Raises StartError if something does not start.
    """
    console.print("Starting a simulated house, a Prefect server and a worker ...")
    stack = PrefectStack(folder, project)
    with (
        stack,
        temporary_settings({PREFECT_API_URL: stack.api_url}),
        get_client(sync_client=True) as client,
    ):
        house, house_url = start_house(stack, *DEMO_DAY)
        stack.deploy()
        worker = stack.start_worker()
        console.print(f"Prefect UI: [link={stack.ui_url}]{stack.ui_url}[/link]")
        console.print("One cycle every 30 s; Ctrl-C stops everything.\n")
        before = _charger(house_url)
        watch = _Watch(client, console)
        try:
            while cycles is None or watch.completed < cycles:
                for child in (house, worker):
                    child.check()
                watch.print_new()
                time.sleep(1)
        except KeyboardInterrupt:
            console.print("\nStopping ...")
        after = _charger(house_url)
        changed = before != after
        console.print(
            f"\n{watch.completed} scheduled cycles completed, {watch.failed} failed. "
            f"Circuit current of the charger: {before} A, now {after} A."
        )
        return changed and not watch.failed if cycles is not None else True


class _Watch:
    """Prints each finished run of `balance` once."""

    def __init__(self, client: SyncPrefectClient, console: Console) -> None:
        self._client = client
        self._console = console
        self._seen: set[UUID] = set()
        self._last_printed_s = time.monotonic()
        self.completed = 0
        self.failed = 0

    def print_new(self) -> None:
        """Print the runs that finished since the last call."""
        ended = FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_COLOURS)))
        runs = self._client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=["balance"])),
            flow_run_filter=FlowRunFilter(state=ended),
            sort=FlowRunSort.END_TIME_DESC,
            limit=20,
        )
        for run in reversed(runs):
            if run.id not in self._seen:
                self._seen.add(run.id)
                self._print(run)
        if time.monotonic() - self._last_printed_s > _NO_CYCLE_S:
            raise StartError(f"No cycle has finished for {_NO_CYCLE_S:.0f} s.")

    def _print(self, run: FlowRun) -> None:
        self._last_printed_s = time.monotonic()
        began = run.start_time or run.expected_start_time
        assert run.state is not None
        assert began is not None
        kind = run.state.type
        self.completed += kind == StateType.COMPLETED and run.auto_scheduled
        self.failed += kind in (StateType.FAILED, StateType.CRASHED)
        self._console.print(
            f"[dim]{began.astimezone():%H:%M:%S}[/dim] "
            f"[{_COLOURS[kind]}]{run.state.name:<10}[/] {escape(run.name)} "
            f"[dim]({run.total_run_time.total_seconds():.1f} s)[/dim]"
        )


def _charger(house_url: str) -> list[float]:
    """The simulated charger's dynamic circuit current per phase."""
    truth = httpx.get(f"{house_url}/admin/house", timeout=10).raise_for_status().json()
    current: list[float] = truth["charger"]["dynamic_circuit_current_a"]
    return current


def start_house(stack: PrefectStack, *options: str) -> tuple[Child, str]:
    """Start a simulated house and save its blocks; the process and the URL of its API."""
    modbus_port, api_port = free_port(), free_port()
    house_url = f"http://{HOST}:{api_port}"
    ports = ("--modbus-port", str(modbus_port), "--api-port", str(api_port))
    house = stack.start("house", "easee_load_balancer.cli", "simulate", *ports, *options)
    asyncio.run(demo_site(house_url, modbus_port).save())
    return house, house_url


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
