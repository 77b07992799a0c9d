"""The house as the registers of a SmartLogger (unit 0) and of its grid meter: pure encoding."""

from __future__ import annotations

from easee_load_balancer.simulation.huawei.encoding import (
    I16,
    I32,
    I64,
    U16,
    U32,
    Words,
    encode,
    encode_text,
)
from easee_load_balancer.simulation.huawei.import_meter import MeterAddresses, encode_meter
from easee_load_balancer.simulation.huawei.registers import (
    CHARGED_BEFORE_KWH,
    DISCHARGED_BEFORE_KWH,
    IMPORTED_BEFORE_KWH,
    WHOLE,
    YIELD_BEFORE_KWH,
    Today,
)
from easee_load_balancer.simulation.plant.meter import MeterSample
from easee_load_balancer.simulation.plant.plant import Plant

BLOCKS = (
    range(40200, 40220),
    range(40380, 40400),
    range(40430, 40580),
    range(40700, 40740),
    range(42256, 42257),
    range(65521, 65536),
)
METER_BLOCKS = (range(32260, 32366),)
MODEL = "SmartLogger3000"
SERIAL = "10230000001"
SOFTWARE = "V300R023C10SPC311"

_METER = MeterAddresses(
    voltages=32260,
    line_voltages=32266,
    currents=32272,
    power=32278,
    powers=32335,
    energy=32341,
    exported=32349,
    imported=32357,
)


def fixed(inverters: int) -> Words:
    """Identity and what is connected."""
    words = encode_text((40713, 10, SERIAL), (65524, 10, MODEL))
    return words | encode(
        (40206, U16, 1, "", "running inverters", inverters),
        (65534, U16, 1, "", "connection (1 = on line)", 1),
    )


def sums(plant: Plant, today: Today) -> Words:
    """Powers and energies of the whole plant; powers are kW with three places."""
    counted, midnight, spec = plant.counters, today.midnight, plant.spec.battery
    battery = plant.battery
    bought_today = counted.imported_kwh - midnight.imported_kwh
    words = encode(
        (40388, U32, 1, "W", "PV power", WHOLE.pv_w(plant)),
        (40396, U32, 1, "W", "rated PV power", plant.spec.rated_w),
        (40438, U32, 100, "kWh", "bought today", bought_today),
        (40446, I64, 100, "kWh", "PV yield", YIELD_BEFORE_KWH + counted.pv_kwh),
        (40464, I64, 100, "kWh", "bought", IMPORTED_BEFORE_KWH + counted.imported_kwh),
        (40521, U32, 1, "W", "DC input of all inverters", WHOLE.pv_w(plant)),
        (40525, I32, 1, "W", "AC power of all inverters", plant.inverter_ac_w),
        (40532, I16, 1000, "", "power factor", 1.0),
        (40560, U32, 10, "kWh", "yield", YIELD_BEFORE_KWH + counted.pv_kwh),
        (40562, U32, 10, "kWh", "yield today", counted.pv_kwh - midnight.pv_kwh),
    )
    if battery is None or spec is None:
        return words
    charged_today = counted.charged_kwh - midnight.charged_kwh
    discharged_today = counted.discharged_kwh - midnight.discharged_kwh
    stored_wh = battery.stored_wh
    return words | encode(
        (40217, U16, 10, "%", "discharge until", spec.lowest_soc_pct),
        (40218, U16, 10, "%", "charge until", 100.0),
        (40392, I32, 1, "W", "battery power", plant.battery_charge_w),
        (40398, U32, 1, "W", "rated battery power", spec.max_power_w),
        (40468, U32, 100, "kWh", "charged today", charged_today),
        (40470, U32, 100, "kWh", "discharged today", discharged_today),
        (40472, I64, 100, "kWh", "charged", CHARGED_BEFORE_KWH + counted.charged_kwh),
        (40476, I64, 100, "kWh", "discharged", DISCHARGED_BEFORE_KWH + counted.discharged_kwh),
        (40480, U32, 1, "Wh", "chargeable", spec.capacity_wh - stored_wh),
        (40482, U32, 1, "Wh", "dischargeable", stored_wh),
        (40484, U32, 1, "Wh", "rated capacity", spec.capacity_wh),
        (40490, U32, 1, "W", "maximum charge power", spec.max_power_w),
        (40492, U32, 1, "W", "maximum discharge power", spec.max_power_w),
        (40515, U16, 10, "%", "state of charge", battery.soc_pct),
        (40516, U16, 10, "%", "state of health", 100.0),
    )


def meter(sample: MeterSample | None, phases: int) -> Words:
    """The grid meter at its own unit, + = import; None = nothing is available."""
    return encode_meter(_METER, sample, phases, signed_currents=True)
