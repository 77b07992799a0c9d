"""A day of each kind of plant over real Modbus, beside the single inverter of the same house.

    python -m tests.benchmarks.plants [clear|variable|overcast]

Shows how many decisions differ from the single inverter's, how far the accounts are from the
plant's own meters, and what a reading costs.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.errors import InverterError
from easee_load_balancer.history.store import History
from easee_load_balancer.measurements import InverterReading
from easee_load_balancer.periods import Period
from easee_load_balancer.reports.summary import day_detail, sum_up
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.huawei.modbus_server import InverterServer
from easee_load_balancer.simulation.huawei.units import InverterSpec
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.plant import BatterySpec, Plant
from tests.support.history import insert
from tests.support.huawei_plant import ADDRESSES
from tests.support.simulated_day import DAY, STOCKHOLM, ReadInverter, Watched, watch_day

NOW = datetime(2027, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class PlantDay:
    """A day, its energies here and by the plant's own meters in kWh, and requests per reading."""

    watched: Watched
    decisions: list[tuple[int | None, int | None, str]]
    """What was decided in each cycle."""
    here: dict[str, float]
    truth: dict[str, float]
    requests: float

    def error_pct(self, name: str) -> float:
        """How far an energy is from the meters' value; 10 Wh of less than 1 kWh are 1 %."""
        return 100 * (self.here[name] - self.truth[name]) / max(self.truth[name], 1.0)


class _Modbus:
    """The plant's server and its client, in one event loop that runs while something is read."""

    def __init__(self, kind: str, runner: asyncio.Runner) -> None:
        self._settings = {"plant": kind} | ADDRESSES[kind] | {"settle_time_s": 0.0}
        self._runner = runner
        self.server: InverterServer | None = None
        self._inverter: Inverter | None = None
        self.readings = 0

    def reader(self, plant: Plant) -> ReadInverter:
        """Serve the plant and read it."""
        spec = InverterSpec(settle_s=0.0, latency_s=0.0, plant=self._settings["plant"])
        self.server = server = InverterServer(plant, spec, Faults())
        port = self._runner.run(server.start("127.0.0.1", 0))
        address = InverterAddress(host="127.0.0.1", port=port, timeout_s=3.0, **self._settings)
        self._inverter = inverter = Inverter(address)

        asleep: InverterReading | None = None

        def read(night: bool) -> InverterReading:
            nonlocal asleep
            if asleep is not None and plant.asleep:
                return asleep  # a sleeping plant is asked once a night: each attempt takes long
            self.readings += 1
            try:
                reading = self._runner.run(inverter.read(night=night))
            except InverterError:
                reading = InverterReading.unknown(NOW)
            asleep = reading if reading.asleep or reading.pv_w is None else None
            return reading

        return read

    def close(self) -> None:
        """Close client and server."""
        if self._inverter is not None and self.server is not None:
            self._runner.run(self._inverter.close())
            self._runner.run(self.server.stop())


@contextmanager
def _modbus(kind: str) -> Iterator[_Modbus]:
    with asyncio.Runner() as runner:
        modbus = _Modbus(kind, runner)
        try:
            yield modbus
        finally:
            modbus.close()


def plant_day(kind: str, weather: Day | str, battery: BatterySpec | None) -> PlantDay:
    """A summer day of that kind of plant, in a closed loop over Modbus."""
    with _modbus(kind) as modbus:
        watched = watch_day(DAY, weather, battery=battery, reader=modbus.reader)
        requests = modbus.server.requests if modbus.server else 0
        per_reading = requests / modbus.readings
    decisions = [(one.setpoint_a, one.setpoint_phases, one.outcome) for one in watched.cycles]
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'history.db'}"
        insert(url, watched.cycles)
        history = History(url)
        period = Period.around(DAY, "day", STOCKHOLM)
        energy = sum_up(history, "home", period, None, NOW).total
        truth = watched.truth(day_detail(history, "home", period, NOW).flows)
        history.close()
    here = {name: getattr(energy, name) for name in truth}
    return PlantDay(watched, decisions, here, truth, per_reading)


def main() -> None:
    """Print a table."""
    weather = sys.argv[1] if len(sys.argv) > 1 else "variable"
    for battery in (BatterySpec(), None):
        print(f"\n{weather} day, {'10 kWh battery' if battery else 'no battery'}")
        print(
            f"{'plant':24}{'cycles':>7}{'differ':>7}{'requests':>9}"
            f"{'car kWh':>9}{'solar':>7}{'worst account':>30}{'s':>6}"
        )
        single: PlantDay | None = None
        for kind in ADDRESSES:
            began_s = time.monotonic()
            day = plant_day(kind, weather, battery)
            single = single or day
            pairs = zip(day.decisions, single.decisions, strict=True)
            differ = sum(ours != theirs for ours, theirs in pairs)
            worst = max(day.truth, key=lambda name: abs(day.error_pct(name)))
            print(
                f"{kind:24}{len(day.decisions):7}{differ:7}{day.requests:9.2f}"
                f"{day.here['car_kwh']:9.2f}{day.here['car_from_solar_kwh']:7.2f}"
                f"{worst:>22} {day.error_pct(worst):+6.2f}%{time.monotonic() - began_s:6.0f}"
            )


if __name__ == "__main__":
    main()
