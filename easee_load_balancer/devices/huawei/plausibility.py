"""Values that a mixed-up answer would give."""

from __future__ import annotations

from collections.abc import Iterable

from easee_load_balancer.devices.huawei.registers import BatteryValues, MeterValues, PowerValues
from easee_load_balancer.errors import InverterImplausible

_HIGHEST_GRID_W = 60_000
"""3 x 87 A: more than any main fuse of a home."""
_HIGHEST_RATING_W = 500_000


def check_inverter(
    where: str, rated_w: float | None, power: PowerValues, battery: BatteryValues | None
) -> None:
    """Raise InverterImplausible for powers or a state of charge that cannot be."""
    highest_w = 2 * (rated_w or _HIGHEST_RATING_W)
    values = [("PV power", power.pv_w, highest_w), ("AC power", power.inverter_ac_w, highest_w)]
    if battery is not None:
        values += [("battery power", battery.charge_w, highest_w)]
        values += [("state of charge", battery.soc_pct, 100)]
    _check(where, values)


def check_meter(where: str, rated_w: float | None, meter: MeterValues) -> None:
    """Raise InverterImplausible for grid powers or currents that cannot be."""
    highest_w = max(2 * (rated_w or 0), _HIGHEST_GRID_W)
    values = [("grid power", meter.grid_export_w, highest_w)]
    values += [("phase power", watts, highest_w) for watts in meter.grid_export_phase_w]
    values += [("phase current", amps, highest_w // 200) for amps in meter.current_a]
    _check(where, values)


def _check(where: str, values: Iterable[tuple[str, float | None, float]]) -> None:
    for name, value, highest in values:
        if value is not None and abs(value) > highest:
            raise InverterImplausible(
                f"{where} reports a {name} of {value:g}, which cannot be; the reading is ignored."
            )
