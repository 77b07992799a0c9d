"""The devices behind the simulated plant's address: who answers at which unit id, and what."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.huawei import dongle, emma, registers, smartlogger
from easee_load_balancer.simulation.huawei.battery_writes import BatteryWrites
from easee_load_balancer.simulation.huawei.encoding import Words
from easee_load_balancer.simulation.huawei.frames import exception
from easee_load_balancer.simulation.huawei.registers import WHOLE, Share, Today
from easee_load_balancer.simulation.plant.meter import MeterSample, faulty
from easee_load_balancer.simulation.plant.plant import Plant

PlantKind = Literal["single", "cascade", "emma", "smartlogger"]

INVERTER_REFRESH_S = 3
"""Plant seconds between two measurements of the inverter; the meter has its own interval."""

ILLEGAL_ADDRESS, DEVICE_FAILURE = 2, 4
_NO_PERMISSION = 0x80
"""The vendor's own code: writing needs a login."""
_DAY_S = 86_400
_GATEWAY_UNIT = 0
_METER_OF_INVERTER = range(37100, 37139)
_CLASS = {"inverter": "33793", "emma": "33865", "logger": "33792", "meter": "33537"}


@dataclass(frozen=True, slots=True)
class InverterSpec:
    """What stands at the plant's address, and how it behaves."""

    unit_id: int = 1
    """The inverter with the grid meter. Unit 0 answers as well where it has no own meaning."""
    settle_s: float = 1.0
    """Requests within this time after connecting are ignored."""
    latency_s: float = 0.03
    """How long each request takes."""
    write_s: tuple[float, float] = (0.5, 3.0)
    """The shortest and longest that each write takes in addition."""
    plant: PlantKind = "single"
    pv_shares: tuple[float, ...] = (0.6, 0.4)
    """Parts of the PV by inverter; a single inverter has all of it."""
    battery_shares: tuple[float, ...] = (1.0, 0.0)
    """Parts of the battery by inverter."""
    meter_unit: int = 11
    """The grid meter behind a SmartLogger."""
    dongle_totals: bool = True
    """A cascade's dongle has the sums at unit 100."""
    device_list: bool = True
    """Other plants than a single inverter list their devices."""
    drops_off_grid: bool = False
    """Off the grid, a request for the meter ends the connection."""
    meter_reversed: bool = False
    """The grid meter counts backwards, as with its sensors the wrong way round."""

    @property
    def entry_unit(self) -> int:
        """The unit that a client starts with."""
        return _GATEWAY_UNIT if self.plant in ("emma", "smartlogger") else self.unit_id

    @property
    def idle_s(self) -> float | None:
        """A new connection that sends nothing is closed after this time; None = never."""
        return 1.0 if self.plant == "emma" else None


@dataclass(frozen=True, slots=True)
class _Unit:
    """One device: its registers by how often they change."""

    device: str
    """What the device list says about it."""
    fixed: Words
    measured: Callable[[Today], Words]
    """Refreshed every INVERTER_REFRESH_S."""
    now: Callable[[], Words]
    select: Callable[[Mapping[int, int], int, int], list[int] | None]
    """The registers of a request; None unless they are documented."""
    asleep: Callable[[], bool] = lambda: False
    takes_writes: bool = False
    """Whether the battery's settings can be written there."""


class Units:
    """The devices of `plant`; `faults` may be changed at any time."""

    def __init__(self, plant: Plant, spec: InverterSpec, faults: Faults) -> None:
        self._plant, self._spec, self._faults = plant, spec, faults
        self._today = Today.begin(plant, int(time.time()) // _DAY_S * _DAY_S)
        self._measured: dict[int, Words] = {}
        self._measured_at_s: int | None = None
        self._frozen: MeterSample | None = None
        controls = plant.battery.controls if plant.battery else None
        self.battery_writes = BatteryWrites(controls, faults, spec.write_s)
        self._units = self._build()

    @property
    def asleep(self) -> bool:
        """Whether nothing answers at all: a dongle sleeps with its inverter."""
        return self._plant.asleep and self._spec.plant in ("single", "cascade")

    def knows(self, unit_id: int) -> bool:
        """Whether a request to this unit is answered at all."""
        gateway = self._spec.plant in ("emma", "smartlogger")
        return gateway or unit_id == _GATEWAY_UNIT or unit_id in self._units

    def drops(self, pdu: bytes) -> bool:
        """Whether a request ends the connection."""
        first = int.from_bytes(pdu[1:3], "big")
        off_grid = self._spec.drops_off_grid and self._plant.off_grid
        return off_grid and first in _METER_OF_INVERTER

    def answer(self, unit_id: int, address: int, count: int) -> list[int] | int:
        """The registers, or the code of an exception."""
        self.measure()
        number = self._number(unit_id)
        unit = self._units.get(number)
        if unit is None or unit.asleep():
            return DEVICE_FAILURE
        words = unit.fixed | self._measured[number] | unit.now()
        values = unit.select(words, address, count)
        return ILLEGAL_ADDRESS if values is None else values

    def write(self, unit_id: int, pdu: bytes) -> bytes | None:
        """Carry out a write and answer it; None = no answer."""
        unit = self._units.get(self._number(unit_id))
        if unit is None or not unit.takes_writes:
            return exception(pdu[0], _NO_PERMISSION)
        return self.battery_writes.write(pdu)

    def devices(self) -> list[str] | None:
        """The device list; None where there is none."""
        if self._spec.plant == "single" or not self._spec.device_list:
            return None
        return [unit.device for number, unit in self._units.items() if number != dongle.UNIT]

    def measure(self) -> None:
        """Refresh the devices' own values when due; the meter's come from the plant."""
        plant = self._plant
        self._today = self._today.at(plant)
        due = self._measured_at_s is None or (
            plant.clock_s - self._measured_at_s >= INVERTER_REFRESH_S
        )
        if due:
            self._measured_at_s = plant.clock_s
            self._measured = {
                number: unit.measured(self._today) for number, unit in self._units.items()
            }

    def _number(self, unit_id: int) -> int:
        """Unit 0 stands for the first inverter where it is nothing of its own."""
        default = self._spec.unit_id if unit_id == _GATEWAY_UNIT else unit_id
        return unit_id if unit_id in self._units else default

    def _build(self) -> dict[int, _Unit]:
        spec = self._spec
        if spec.plant == "single":
            return {spec.unit_id: self._inverter(spec.unit_id, WHOLE, meter=True)}
        inverters = {
            spec.unit_id + at: self._inverter(
                spec.unit_id + at,
                Share(pv, battery, f"HV214001234{5 + at}"),
                meter=spec.plant == "cascade" and at == 0,
            )
            for at, (pv, battery) in enumerate(
                zip(spec.pv_shares, spec.battery_shares, strict=True)
            )
        }
        match spec.plant:
            case "emma":
                return {_GATEWAY_UNIT: self._emma(len(inverters)), **inverters}
            case "smartlogger":
                logger = self._logger(len(inverters))
                return {_GATEWAY_UNIT: logger, **inverters, spec.meter_unit: self._logger_meter()}
            case _:
                return inverters | {dongle.UNIT: self._dongle()}

    def _inverter(self, unit_id: int, share: Share, *, meter: bool) -> _Unit:
        plant, kind = self._plant, self._spec.plant
        fixed = registers.fixed(plant.spec, share)
        has_battery = plant.spec.battery is not None and share.battery > 0

        def measured(today: Today) -> Words:
            words = registers.inverter(plant, today, share)
            return words | registers.battery(plant, today, share)

        def now() -> Words:
            words = registers.meter(self._sample() if meter else None, self._meter_phases)
            return words | self.battery_writes.words() if has_battery else words

        def select(words: Mapping[int, int], address: int, count: int) -> list[int] | None:
            if kind == "smartlogger" and address in _METER_OF_INVERTER:
                return None
            return registers.select(words, address, count, has_battery)

        def asleep() -> bool:
            return kind != "single" and not has_battery and not meter and plant.dark

        model = f"SUN2000-{plant.spec.rated_w * share.pv / 1000:g}KTL-M1"
        device = _listed(model, "V100R001C00SPC141", share.serial, unit_id, "inverter")
        takes_writes = has_battery and kind != "emma"  # an EMMA blocks or undoes them
        return _Unit(device, fixed, measured, now, select, asleep, takes_writes)

    def _emma(self, inverters: int) -> _Unit:
        device = _listed(emma.MODEL, emma.SOFTWARE, emma.SERIAL, _GATEWAY_UNIT, "emma")
        return _Unit(
            device,
            emma.fixed(self._plant.spec, inverters),
            lambda today: emma.sums(self._plant, today),
            lambda: emma.meter(self._sample(), self._meter_phases),
            _within(emma.BLOCKS),
        )

    def _logger(self, inverters: int) -> _Unit:
        return _Unit(
            _listed(
                smartlogger.MODEL, smartlogger.SOFTWARE, smartlogger.SERIAL, _GATEWAY_UNIT, "logger"
            ),
            smartlogger.fixed(inverters),
            lambda today: smartlogger.sums(self._plant, today),
            dict,
            _within(smartlogger.BLOCKS),
        )

    def _logger_meter(self) -> _Unit:
        return _Unit(
            _listed("DTSU666-H", "", "", self._spec.meter_unit, "meter"),
            {},
            lambda today: {},
            lambda: smartlogger.meter(self._sample(), self._meter_phases),
            _within(smartlogger.METER_BLOCKS),
        )

    def _dongle(self) -> _Unit:
        return _Unit(
            "",
            {},
            lambda today: dongle.sums(self._plant, self._sample()),
            dict,
            _within(dongle.BLOCKS if self._spec.dongle_totals else ()),
        )

    @property
    def _meter_phases(self) -> int:
        spec = self._plant.spec
        return spec.phases if spec.meter_phases is None else spec.meter_phases

    def _sample(self) -> MeterSample | None:
        """What the meter shows; None = offline."""
        if not (self._meter_phases and self._plant.meter_online):
            return None
        fault, shown = self._faults.meter, self._plant.meter
        self._frozen = (self._frozen or shown) if fault == "frozen" else None
        if fault == "offline":
            return None
        sample = self._frozen or faulty(shown, fault, self._plant.clock_s)
        return _reversed(sample) if self._spec.meter_reversed else sample


def _listed(model: str, software: str, serial: str, unit_id: int, kind: str) -> str:
    """One entry of the device list; what is empty is left out."""
    fields = {1: model, 2: software, 3: "P1.0-D1.0", 4: serial, 5: str(unit_id), 8: _CLASS[kind]}
    return ";".join(f"{number}={value}" for number, value in fields.items() if value)


def _within(
    blocks: tuple[range, ...],
) -> Callable[[Mapping[int, int], int, int], list[int] | None]:
    def select(words: Mapping[int, int], address: int, count: int) -> list[int] | None:
        wanted = range(address, address + count)
        for block in blocks:
            if wanted.start in block and wanted[-1] in block:
                return [words.get(register, 0) for register in wanted]
        return None

    return select


def _reversed(sample: MeterSample) -> MeterSample:
    """The sample of a meter that counts backwards, since it was installed."""
    (p1, p2, p3), (a1, a2, a3) = sample.grid_export_w, sample.current_a
    exported_kwh, imported_kwh = sample.exported_kwh, sample.imported_kwh
    before_kwh = registers.EXPORTED_BEFORE_KWH - registers.IMPORTED_BEFORE_KWH
    return replace(
        sample,
        grid_export_w=(-p1, -p2, -p3),
        current_a=(-a1, -a2, -a3),
        exported_kwh=None if imported_kwh is None else imported_kwh - before_kwh,
        imported_kwh=None if exported_kwh is None else exported_kwh + before_kwh,
    )
