"""`easee-balancer simulate`: the simulated house on its own."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Annotated

import typer
from rich.console import Console

from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.simulation.huawei.units import InverterSpec
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.charger import ChargerSpec
from easee_load_balancer.simulation.plant.day import BUILT_IN_DAYS, Day, load_day
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec
from easee_load_balancer.simulation.server import RunSpec, run_house

_TN_THREE_PHASE, _TN_ONE_PHASE = 1, 3


class PlantChoice(Enum):
    """What is at the inverter's address."""

    SINGLE = "single"
    CASCADE = "cascade"
    EMMA = "emma"
    SMARTLOGGER = "smartlogger"


class Phases(Enum):
    """One phase or three."""

    ONE = "1"
    THREE = "3"


class Meter(Enum):
    """Phases of the grid meter, or none without a meter."""

    ONE = "1"
    THREE = "3"
    NONE = "none"


_METER_PHASES = {Meter.ONE: 1, Meter.THREE: 3, Meter.NONE: 0, None: None}


def _minutes(text: str, option: str) -> int:
    """HH:MM as minutes since midnight."""
    hours, _, minutes = text.partition(":")
    if not (hours.isdecimal() and minutes.isdecimal() and int(hours) < 24 and int(minutes) < 60):
        message = f"{text!r} is not a time of day, for example 07:30."
        raise typer.BadParameter(message, param_hint=option)
    return int(hours) * 60 + int(minutes)


def _settle_s(plant: PlantChoice) -> float:
    return 0.0 if plant is PlantChoice.EMMA else 1.0


def _schedule(text: str) -> tuple[int, int]:
    """HH:MM-HH:MM as minutes since midnight."""
    begin, _, end = text.partition("-")
    return _minutes(begin, "--schedule"), _minutes(end, "--schedule")


def _day(text: str) -> Day:
    try:
        return load_day(text)
    except OSError as error:
        message = f"{text!r} is neither {', '.join(BUILT_IN_DAYS)} nor a file: {error.strerror}."
        raise typer.BadParameter(message, param_hint="--day") from None
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--day") from None


_Port = Annotated[
    int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")
]
_Day = Annotated[
    str,
    typer.Option(
        metavar="DAY",
        help="PV and load: clear, variable, overcast, or a CSV file (time,pv_w,load_w).",
    ),
]
_Start = Annotated[str, typer.Option(metavar="HH:MM", help="Time of day at the start.")]
_Speed = Annotated[int, typer.Option(min=1, max=3600, help="Simulated seconds per real second.")]
_NoBattery = Annotated[bool, typer.Option("--no-battery", help="A house without a battery.")]
_BatteryOffline = Annotated[
    bool, typer.Option("--battery-offline", help="The battery does not communicate.")
]
_BatterySoc = Annotated[
    float, typer.Option(min=0, max=100, help="State of charge at the start (%).")
]
_Phases = Annotated[Phases, typer.Option(help="Phases of the house.")]
_Meter = Annotated[
    Meter | None,
    typer.Option(help="Phases of the grid meter, or none. Default: those of the house."),
]
_CarPhases = Annotated[Phases, typer.Option(help="Phases the car uses.")]
_CarMaxCurrent = Annotated[
    float, typer.Option(min=6, max=32, help="Highest current of the car per phase (A).")
]
_Plant = Annotated[
    PlantChoice,
    typer.Option(help="One inverter, two behind a dongle, or an EMMA or SmartLogger with two."),
]
_SettleTime = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="Delay before a new Modbus connection answers (s). Default: 1; 0 for an EMMA, which "
        "closes silent connections after 1 s.",
    ),
]
_Latency = Annotated[float, typer.Option(min=0, help="Response time of the inverter (s).")]
_CloudDelay = Annotated[
    float, typer.Option(min=0, help="Delay from charger to API, in real time (s).")
]
_UserName = Annotated[str, typer.Option(help="User name for the API.")]
_Password = Annotated[str, typer.Option(help="Password for the API.")]
_WaitsAtMinimum = Annotated[
    bool,
    typer.Option("--waits-at-minimum", help="Charging that starts at 6 A waits 5 minutes."),
]
_Authorization = Annotated[
    bool, typer.Option("--authorization", help="The charger must be unlocked for each car.")
]
_Schedule = Annotated[
    str | None,
    typer.Option(metavar="HH:MM-HH:MM", help="The charger's own schedule: charge only then."),
]
_SecondCharger = Annotated[
    bool,
    typer.Option("--second-charger", help="A second charger without a car on the circuit."),
]
_Equalizer = Annotated[bool, typer.Option("--equalizer", help="An Easee Equalizer is installed.")]
_OfflineCurrent = Annotated[
    float, typer.Option(min=0, max=40, help="offlineMaxCircuitCurrent of the circuit (A).")
]
_ExportLimit = Annotated[
    float | None,
    typer.Option(min=0, help="The inverter throttles its PV to export no more than this (W)."),
]
_MeterReversed = Annotated[
    bool, typer.Option("--meter-reversed", help="The meter's power and currents are negated.")
]
_MainFuse = Annotated[float, typer.Option(min=1, help="Main fuse per phase (A).")]


def simulate(
    modbus_port: _Port = 5020,
    api_port: _Port = 8020,
    day: _Day = "clear",
    start: _Start = "10:00",
    speed: _Speed = 1,
    no_battery: _NoBattery = False,
    battery_offline: _BatteryOffline = False,
    battery_soc: _BatterySoc = 50.0,
    phases: _Phases = Phases.THREE,
    meter: _Meter = None,
    car_phases: _CarPhases = Phases.THREE,
    car_max_current: _CarMaxCurrent = 16.0,
    plant: _Plant = PlantChoice.SINGLE,
    settle_time: _SettleTime = None,
    latency: _Latency = 0.03,
    cloud_delay: _CloudDelay = 2.0,
    user_name: _UserName = "owner@example.com",
    password: _Password = "simulated",
    waits_at_minimum: _WaitsAtMinimum = False,
    authorization: _Authorization = False,
    schedule: _Schedule = None,
    second_charger: _SecondCharger = False,
    equalizer: _Equalizer = False,
    offline_current: _OfflineCurrent = 16.0,
    main_fuse: _MainFuse = 25.0,
    export_limit: _ExportLimit = None,
    meter_reversed: _MeterReversed = False,
) -> None:
    """Run a simulated house for tests: inverter, battery, meter, charger and car."""
    spec = RunSpec(
        day=_day(day),
        start_s=60 * _minutes(start, "--start"),
        speed=speed,
        modbus_port=modbus_port,
        api_port=api_port,
        house=HouseSpec(
            battery=_battery(no_battery, battery_offline, battery_soc),
            car=CarSpec(phases=int(car_phases.value), max_current_a=car_max_current),
            charger=_charger(phases, waits_at_minimum, authorization, schedule, offline_current),
            phases=int(phases.value),
            meter_phases=_METER_PHASES[meter],
            main_fuse_a=main_fuse,
            export_limit_w=export_limit,
        ),
        cloud=CloudSpec(
            user_name=user_name,
            password=password,
            cloud_delay_s=cloud_delay,
            second_charger_id="EH123457" if second_charger else None,
            equalizer_id="QP123456" if equalizer else None,
        ),
        inverter=InverterSpec(
            plant=plant.value,
            settle_s=_settle_s(plant) if settle_time is None else settle_time,
            latency_s=latency,
            meter_reversed=meter_reversed,
        ),
    )
    _run(spec)


def _battery(no_battery: bool, offline: bool, soc_pct: float) -> BatterySpec | None:
    return None if no_battery else BatterySpec(start_soc_pct=soc_pct, offline=offline)


def _charger(
    phases: Phases,
    waits_at_minimum: bool,
    authorization: bool,
    schedule: str | None,
    offline_current_a: float,
) -> ChargerSpec:
    return ChargerSpec(
        grid_type=_TN_THREE_PHASE if phases is Phases.THREE else _TN_ONE_PHASE,
        waits_at_minimum=waits_at_minimum,
        authorization_required=authorization,
        schedule=_schedule(schedule) if schedule else None,
        offline_max_current_a=(offline_current_a,) * 3,
    )


def _run(spec: RunSpec) -> None:
    """Run the house until it is interrupted; exit code 1 where it cannot start."""
    try:
        asyncio.run(run_house(spec, Console(highlight=False)))
    except OSError as error:
        message = f"The simulated house cannot start: {error.strerror or error}."
        Console(stderr=True, highlight=False).print(message, soft_wrap=True)
        raise typer.Exit(1) from None
