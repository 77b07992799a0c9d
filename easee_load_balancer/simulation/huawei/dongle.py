"""The sums of a cascade as the dongle shows them at unit 100: pure encoding."""

from __future__ import annotations

from easee_load_balancer.simulation.huawei.encoding import I32, U16, U32, Words, encode
from easee_load_balancer.simulation.huawei.registers import WHOLE
from easee_load_balancer.simulation.plant.meter import MeterSample
from easee_load_balancer.simulation.plant.plant import Plant

UNIT = 100
BLOCKS = (range(37410, 37412), range(37429, 37430), range(37498, 37518))


def sums(plant: Plant, sample: MeterSample | None) -> Words:
    """Powers of all inverters; grid + = import, battery + = charging."""
    import_w = None if sample is None else -sum(sample.grid_export_w)
    charge_w = None if plant.battery is None else plant.battery_charge_w
    return encode(
        (37410, U16, 1, "", "type", 3),
        (37411, U16, 1, "", "search state", 0),
        (37429, U16, 1, "", "devices allowed", 10),
        (37498, U32, 1, "W", "DC input", WHOLE.pv_w(plant)),
        (37500, U32, 1, "W", "load", plant.load_w + plant.car_w),
        (37502, I32, 1, "W", "grid, + = import", import_w),
        (37504, I32, 1, "W", "battery, + = charging", charge_w),
        (37516, I32, 1, "W", "AC power", plant.inverter_ac_w),
    )
