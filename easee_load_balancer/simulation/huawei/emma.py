"""The house as the registers of an EMMA (unit 0): pure encoding.

Its sensor at the grid counts import as positive, and shows currents without a sign.
"""

from __future__ import annotations

from easee_load_balancer.simulation.huawei.encoding import (
    I32,
    U16,
    U32,
    U64,
    Words,
    encode,
    encode_text,
)
from easee_load_balancer.simulation.huawei.import_meter import MeterAddresses, encode_meter
from easee_load_balancer.simulation.huawei.registers import (
    CHARGED_BEFORE_KWH,
    DISCHARGED_BEFORE_KWH,
    EXPORTED_BEFORE_KWH,
    IMPORTED_BEFORE_KWH,
    WHOLE,
    YIELD_BEFORE_KWH,
    Today,
    export_control,
)
from easee_load_balancer.simulation.plant.meter import MeterSample
from easee_load_balancer.simulation.plant.plant import HouseSpec, Plant

BLOCKS = (
    range(30000, 30118),
    range(30222, 30242),
    range(30300, 30410),
    range(30500, 30560),
    range(30801, 30806),
    range(31600, 31700),
    range(31890, 31950),
    range(40000, 40120),
)
MODEL = "EMMA-A02"
SERIAL = "NS2340000001"
SOFTWARE = "V100R024C00SPC101"

_METER = MeterAddresses(
    voltages=31639,
    line_voltages=31645,
    currents=31651,
    power=31657,
    powers=31665,
    energy=31671,
    exported=31679,
    imported=31687,
)


def fixed(spec: HouseSpec, inverters: int) -> Words:
    """Identity, settings and what was found behind it."""
    words = encode_text(
        (30000, 15, "SmartHEMS"),
        (30015, 10, SERIAL),
        (30035, 15, SOFTWARE),
        (30222, 20, MODEL),
    )
    return words | encode(
        (30500, U16, 1, "", "external meter (1 = offline)", 1),
        (30801, U16, 1, "", "inverters found", inverters),
        (30804, U16, 1, "", "chargers found", 0),
        (40000, U16, 1, "", "battery mode (2 = self-consumption)", 2),
        (40100, U16, 1, "", "export control (0 none, 5 zero, 6 W)", export_control(spec)),
        (40107, I32, 1, "W", "export limit", spec.export_limit_w or 0.0),
    )


def sums(plant: Plant, today: Today) -> Words:
    """Powers and energies of the whole plant."""
    counted, midnight = plant.counters, today.midnight
    load_kwh = counted.load_kwh + counted.car_kwh
    pv_today_kwh = counted.pv_kwh - midnight.pv_kwh
    before_kwh = YIELD_BEFORE_KWH + IMPORTED_BEFORE_KWH - EXPORTED_BEFORE_KWH
    words = encode(
        (30302, U64, 100, "kWh", "absorbed by the inverters", 0),
        (30324, U32, 100, "kWh", "consumed today", load_kwh - midnight.load_kwh - midnight.car_kwh),
        (30326, U64, 100, "kWh", "consumed", before_kwh + load_kwh),
        (30330, U32, 100, "kWh", "fed in today", counted.exported_kwh - midnight.exported_kwh),
        (30332, U64, 100, "kWh", "fed in", EXPORTED_BEFORE_KWH + counted.exported_kwh),
        (30336, U32, 100, "kWh", "bought today", counted.imported_kwh - midnight.imported_kwh),
        (30338, U64, 100, "kWh", "bought", IMPORTED_BEFORE_KWH + counted.imported_kwh),
        (30342, U32, 100, "kWh", "inverters' yield today", pv_today_kwh),
        (30344, U32, 100, "kWh", "inverters' yield", YIELD_BEFORE_KWH + counted.pv_kwh),
        (30346, U32, 100, "kWh", "PV yield today", pv_today_kwh),
        (30348, U64, 100, "kWh", "PV yield", YIELD_BEFORE_KWH + counted.pv_kwh),
        (30354, U32, 1, "W", "PV power", WHOLE.pv_w(plant)),
        (30356, U32, 1, "W", "load, car included", plant.load_w + plant.car_w),
        (30358, I32, 1, "W", "fed in, + = export", plant.grid_export_w),
        (30362, U32, 1, "W", "rated power", plant.spec.rated_w),
        (30364, I32, 1, "W", "AC power of the inverters", plant.inverter_ac_w),
    )
    return words | _battery(plant, today)


def _battery(plant: Plant, today: Today) -> Words:
    """The battery's values; "not available" without one."""
    counted, midnight = plant.counters, today.midnight
    battery = plant.battery
    stored_kwh = kwh = room_kwh = soc_pct = None
    if battery is not None:
        stored_kwh, kwh = battery.stored_wh / 1000, battery.spec.capacity_wh / 1000
        room_kwh, soc_pct = kwh - stored_kwh, battery.soc_pct
    there = battery is not None
    return encode(
        (30306, U32, 100, "kWh", "charged today", counted.charged_kwh - midnight.charged_kwh),
        (30308, U64, 100, "kWh", "charged", CHARGED_BEFORE_KWH * there + counted.charged_kwh),
        (
            *(30312, U32, 100, "kWh", "discharged today"),
            counted.discharged_kwh - midnight.discharged_kwh,
        ),
        (
            *(30314, U64, 100, "kWh", "discharged"),
            DISCHARGED_BEFORE_KWH * there + counted.discharged_kwh,
        ),
        (30318, U32, 1000, "kWh", "chargeable", room_kwh),
        (30320, U32, 1000, "kWh", "dischargeable", stored_kwh),
        (30322, U32, 1000, "kWh", "rated", kwh),
        (30360, I32, 1, "W", "power, + = charging", plant.battery_charge_w if there else None),
        (30368, U16, 100, "%", "state of charge", soc_pct),
        (30369, U32, 1000, "kWh", "chargeable capacity", room_kwh),
        (30371, U32, 1000, "kWh", "dischargeable capacity", stored_kwh),
        (30373, U16, 100, "%", "backup reserve", 0),
    )


def meter(sample: MeterSample | None, phases: int) -> Words:
    """The sensor at the grid, + = import; None = nothing is available."""
    return encode_meter(_METER, sample, phases, signed_currents=False)
