"""The house's true state, its faults and manual switches, for tests and demos."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from easee_load_balancer.simulation.easee.problems import invalid
from easee_load_balancer.simulation.fault_triggers import FaultTriggers, Trigger
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.plant.plant import Plant


class Counts(Protocol):
    """What the inverter has counted since its start."""

    connections: int
    requests: int


class HousePatch(BaseModel):
    """Manual changes; missing fields stay unchanged."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    car_plugged_in: bool | None = None
    extra_load_w: tuple[float, float, float] | None = None
    authorized: bool | None = None
    charger_enabled: bool | None = None
    equalizer_a: float | None = None
    """The Equalizer's limit; 40 A and more is no limit."""
    reboot: bool = False


_TRIGGER: TypeAdapter[Trigger] = TypeAdapter(Trigger)
_CAR = ("plugged_in", "current_a", "energy_kwh", "full")
_CHARGER = (
    *("op_mode", "reason_for_no_current", "output_current_a", "output_phases", "limit_a"),
    *("dynamic_circuit_current_a", "dynamic_charger_current_a", "circuit_max_current_a"),
    *("enabled", "authorized", "starts", "phase_changes"),
)
_CHARGER_SPEC = ("offline_max_current_a", "max_current_a", "phase_mode")


def admin_routes(
    plant: Plant,
    faults: Faults,
    triggers: FaultTriggers,
    inverter: Counts,
    api: Callable[[], dict[str, Any]],
    speed: int,
) -> list[Route]:
    """Routes without authentication: the house listens only on the loopback interface.

    `api` returns the API's counts. With `?at=<trigger>`, faults start at that trigger.
    """

    async def get_house(request: Request) -> Response:
        seen = {"connections": inverter.connections, "requests": inverter.requests}
        return JSONResponse({**truth(plant), "speed": speed, "inverter": seen, "api": api()})

    async def patch_house(request: Request) -> Response:
        try:
            patch = HousePatch.model_validate_json(await request.body())
        except ValidationError as error:
            return invalid(error, 422).response()
        _apply(plant, patch)
        return await get_house(request)

    async def get_faults(request: Request) -> Response:
        return JSONResponse(faults.model_dump())

    async def put_faults(request: Request) -> Response:
        at = request.query_params.get("at")
        try:
            wanted = Faults.model_validate_json(await request.body())
            trigger = None if at is None else _TRIGGER.validate_python(at)
        except ValidationError as error:
            return invalid(error, 422).response()
        if trigger is None:
            faults.replace_with(wanted)
        else:
            triggers.on(trigger, partial(faults.replace_with, wanted))
        return await get_faults(request)

    return [
        Route("/admin/house", get_house, methods=["GET"]),
        Route("/admin/house", patch_house, methods=["PATCH"]),
        Route("/admin/faults", get_faults, methods=["GET"]),
        Route("/admin/faults", put_faults, methods=["PUT"]),
    ]


def truth(plant: Plant) -> dict[str, Any]:
    """The house's true state, whatever its devices report."""
    battery, charger = plant.battery, plant.charger
    minutes, seconds = divmod(plant.clock_s % 86_400, 60)
    return {
        "day": plant.day.name,
        "clock": f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}",
        "clock_s": plant.clock_s,
        "pv_w": plant.pv_w,
        "load_w": plant.load_w,
        "extra_load_w": plant.extra_load_w,
        "car_w": plant.car_w,
        "inverter_ac_w": plant.inverter_ac_w,
        "asleep": plant.asleep,
        "battery": battery and {"charge_w": battery.charge_w, "soc_pct": battery.soc_pct},
        "grid_export_w": plant.grid_export_w,
        "grid_export_phase_w": plant.grid_export_phase_w,
        "voltage_v": plant.voltage_v,
        "meter": asdict(plant.meter),
        "main_fuse_a": plant.spec.main_fuse_a,
        "car": _shown(plant.car, _CAR) | {"phases": plant.car.spec.phases},
        "charger": _shown(charger, _CHARGER) | _shown(charger.spec, _CHARGER_SPEC),
        "counters": asdict(plant.counters),
    }


def _shown(part: object, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(part, name) for name in names}


def _apply(plant: Plant, patch: HousePatch) -> None:
    charger, car = plant.charger, plant.car
    if patch.car_plugged_in is True and not car.plugged_in:
        charger.plug_in()
    elif patch.car_plugged_in is False:
        car.unplug()
    if patch.extra_load_w is not None:
        plant.extra_load_w = patch.extra_load_w
    if patch.authorized is not None:
        charger.authorized = patch.authorized
    if patch.charger_enabled is not None:
        charger.enabled = patch.charger_enabled
    if patch.equalizer_a is not None:
        charger.equalizer_a = patch.equalizer_a
    if patch.reboot:
        charger.reboot()
