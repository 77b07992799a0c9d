"""The command line."""

from __future__ import annotations

import asyncio
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from easee_load_balancer.house.charger import CarSpec, ChargerSpec
from easee_load_balancer.house.cloud_documents import CloudSpec
from easee_load_balancer.house.day import BUILT_IN_DAYS, Day, load_day
from easee_load_balancer.house.inverter import InverterSpec
from easee_load_balancer.house.plant import BatterySpec, HouseSpec
from easee_load_balancer.house.run import RunSpec, run_house
from easee_load_balancer.privacy import keep_to_oneself
from easee_load_balancer.processes import StartError, interrupt_on_signals

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False)

_TN_THREE_PHASE, _TN_ONE_PHASE = 1, 3

Port = typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")


class Phases(Enum):
    """One phase or three."""

    ONE = "1"
    THREE = "3"


@app.callback()
def main() -> None:
    """Charge the car with what the roof has left over."""
    keep_to_oneself()


def _clock(text: str) -> int:
    """Seconds since midnight of HH:MM."""
    hours, _, minutes = text.partition(":")
    if not (hours.isdecimal() and minutes.isdecimal() and int(hours) < 24 and int(minutes) < 60):
        message = f"{text!r} is not a time of day such as 07:30."
        raise typer.BadParameter(message, param_hint="--start")
    return int(hours) * 3600 + int(minutes) * 60


def _day(text: str) -> Day:
    try:
        return load_day(text)
    except OSError as error:
        message = f"{text!r} is neither {', '.join(BUILT_IN_DAYS)} nor a file: {error.strerror}."
        raise typer.BadParameter(message, param_hint="--day") from None
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--day") from None


@app.command()
def house(
    modbus_port: Annotated[int, Port] = 5020,
    api_port: Annotated[int, Port] = 8020,
    day: Annotated[
        str,
        typer.Option(
            metavar="DAY",
            help="Sun and load: clear, variable, overcast, or a CSV file (time,pv_w,load_w).",
        ),
    ] = "clear",
    start: Annotated[
        str, typer.Option(metavar="HH:MM", help="Time of day to begin with.")
    ] = "10:00",
    speed: Annotated[
        int, typer.Option(min=1, max=3600, help="Simulated seconds per real second.")
    ] = 1,
    no_battery: Annotated[bool, typer.Option("--no-battery", help="A house without it.")] = False,
    battery_soc: Annotated[
        float, typer.Option(min=0, max=100, help="State of charge to begin with, in %.")
    ] = 50.0,
    phases: Annotated[Phases, typer.Option(help="Phases of the house.")] = Phases.THREE,
    car_phases: Annotated[Phases, typer.Option(help="Phases the car uses.")] = Phases.THREE,
    car_max_current: Annotated[
        float, typer.Option(min=6, max=32, help="Most that the car takes per phase, in A.")
    ] = 16.0,
    settle_time: Annotated[
        float, typer.Option(min=0, help="How long a new Modbus connection stays mute, in s.")
    ] = 1.0,
    latency: Annotated[
        float, typer.Option(min=0, help="How long the inverter takes for a request, in s.")
    ] = 0.03,
    cloud_delay: Annotated[
        float, typer.Option(min=0, help="From charger to API, in s of real time.")
    ] = 2.0,
    user_name: Annotated[str, typer.Option(help="User of the API.")] = "owner@example.com",
    password: Annotated[str, typer.Option(help="Password of the API.")] = "simulated",
    waits_at_minimum: Annotated[
        bool,
        typer.Option("--waits-at-minimum", help="A charge that starts at 6 A waits 5 minutes."),
    ] = False,
    main_fuse: Annotated[float, typer.Option(min=1, help="Main fuse per phase, in A.")] = 25.0,
) -> None:
    """Run a simulated house: inverter, battery, meter, charger and car, to try things out on."""
    grid_type = _TN_THREE_PHASE if phases is Phases.THREE else _TN_ONE_PHASE
    spec = RunSpec(
        day=_day(day),
        start_s=_clock(start),
        speed=speed,
        modbus_port=modbus_port,
        api_port=api_port,
        house=HouseSpec(
            battery=None if no_battery else BatterySpec(start_soc_pct=battery_soc),
            car=CarSpec(phases=int(car_phases.value), max_current_a=car_max_current),
            charger=ChargerSpec(grid_type=grid_type, waits_at_minimum=waits_at_minimum),
            phases=int(phases.value),
            main_fuse_a=main_fuse,
        ),
        cloud=CloudSpec(user_name=user_name, password=password, cloud_delay_s=cloud_delay),
        inverter=InverterSpec(settle_s=settle_time, latency_s=latency),
    )
    try:
        asyncio.run(run_house(spec, Console(highlight=False)))
    except OSError as error:
        message = f"The house cannot start: {error.strerror or error}."
        Console(stderr=True, highlight=False).print(message, soft_wrap=True)
        raise typer.Exit(1) from None


def _not_started(error: StartError) -> typer.Exit:
    """Say why."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(str(error), style="red", markup=False)
    return typer.Exit(1)


@app.command()
def demo(
    cycles: Annotated[
        int | None, typer.Option(min=1, help="End after this many completed cycles.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the demo keeps its data.")] = Path(".demo"),
) -> None:
    """Run the whole product against a simulated house; touches no hardware, ends with Ctrl-C."""
    from easee_load_balancer.demo import run_demo  # Prefect takes seconds to import

    interrupt_on_signals()
    console = Console(highlight=False, soft_wrap=True)
    try:
        good = run_demo(Path.cwd(), folder.resolve(), cycles, console)
    except StartError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            str(error), style="red", markup=False
        )
        raise typer.Exit(1) from None
    raise typer.Exit(0 if good else 1)


@app.command()
def up(
    port: Annotated[
        int, typer.Option(min=1, max=65_535, help="Port of the Prefect server and its web pages.")
    ] = 4200,
) -> None:
    """Run it for real: Prefect server, deployments and worker, until Ctrl-C."""
    from easee_load_balancer.up import run_up  # Prefect takes seconds to import

    try:
        run_up(Path.cwd(), port, Console(highlight=False, soft_wrap=True))
    except StartError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            str(error), style="red", markup=False
        )
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
