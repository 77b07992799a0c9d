"""A boost in a house with a battery: the control law and the battery's control over real Modbus."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.state import TIME_TO_LIVE, ControllerState
from easee_load_balancer.devices.huawei.battery_control import BatteryControl
from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.devices.huawei.hold_record import HoldFile, record_path
from easee_load_balancer.history.tables import Cycle
from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.huawei.modbus_server import InverterServer
from easee_load_balancer.simulation.huawei.units import InverterSpec
from easee_load_balancer.simulation.plant.car import CarSpec
from easee_load_balancer.simulation.plant.closed_loop import ReportedCharger
from easee_load_balancer.simulation.plant.day import Day
from easee_load_balancer.simulation.plant.plant import BatterySpec, HouseSpec, Plant
from tests.support.battery import address_of

INTERVAL_S = 30
CLOUD_DELAY_S = 20
WRITES_TAKE_S = 8
"""Of the plant's clock, from the cycle to what is written: four slow writes."""
_SITE = "home"


@dataclass(frozen=True)
class BoostedHouse:
    """What a boost took from where."""

    plant: Plant
    cycles: list[Cycle]
    writes: int


async def boosted(
    folder: Path,
    start: datetime,
    policy: Policy,
    pv_w: float = 0.0,
    hours: float = 2.0,
    held_from_s: int | None = None,
) -> BoostedHouse:
    """A boost of 10 kWh that begins ten minutes after `start`, with a 10 kWh battery at 80 %."""
    house = HouseSpec(
        battery=BatterySpec(start_soc_pct=80.0),
        car=CarSpec(energy_needed_kwh=1000.0),
        main_fuse_a=policy.main_fuse_a,
    )
    plant = Plant(Day("night", (pv_w,) * 1440, (500.0,) * 1440), house)
    plant.charger.dynamic_circuit_current_a = (0.0, 0.0, 0.0)
    spec = InverterSpec(settle_s=0.0, latency_s=0.0, write_s=(0.0, 0.0))
    server = InverterServer(plant, spec, Faults())
    inverter = Inverter(address_of(await server.start("127.0.0.1", 0), timeout_s=8))
    control = BatteryControl(inverter, HoldFile(record_path(folder, _SITE)))
    run = _Boosted(plant, start, policy, control)
    try:
        while plant.clock_s < hours * 3600:
            if plant.clock_s == held_from_s:
                run.policy = policy.model_copy(update={"hold_battery": True})
            await run.second()
    finally:
        await inverter.close()
        await server.stop()
    return BoostedHouse(plant, run.cycles, len(server.battery_writes.done))


class _Boosted:
    """The cycles, as the flow runs them."""

    def __init__(
        self, plant: Plant, start: datetime, policy: Policy, battery: BatteryControl
    ) -> None:
        self.cycles: list[Cycle] = []
        self.policy = policy
        self._plant, self._battery = plant, battery
        self._cloud = ReportedCharger(plant, CLOUD_DELAY_S, start)
        self._state = ControllerState()
        self._boost: Boost | None = None

    async def second(self) -> None:
        """One second of the house, with a cycle and its writes when they are due."""
        at_s, now = self._plant.clock_s % INTERVAL_S, self._cloud.state(self._plant).taken_at
        if at_s == 0:
            await self._cycle(now)
        elif at_s == WRITES_TAKE_S:
            await self._battery.apply(self._state.hold, now)
        self._plant.step()
        self._cloud.step(self._plant)

    async def _cycle(self, now: datetime) -> None:
        charger = self._cloud.state(self._plant)
        inverter = await self._battery.inverter.read()
        if self._boost is None and self._plant.clock_s == 600:
            self._boost = Boost.asked(16, "10 kWh", "UTC", now)
        boost = self._boost and self._boost.after(now, charger)
        self._boost = boost
        active = None if boost is None or boost.ended(now) else boost
        decision = decide(
            CycleInputs(now, inverter, charger, self.policy, boost=active), self._state
        )
        if decision.push and decision.setpoint is not None:
            current_a = decision.setpoint.circuit_current_a
            lasts_s = int(TIME_TO_LIVE.total_seconds())
            self._plant.charger.command_circuit(self._plant.clock_s, current_a, lasts_s)
            decision = decision.pushed(now)
        self._state = decision.state
        self.cycles.append(
            Cycle.of(
                site=_SITE,
                scheduled_at=now,
                at=now,
                run_id=f"run {self._plant.clock_s}",
                mode="boost" if active else self.policy.mode,
                inverter=inverter,
                charger=charger,
                decision=decision,
                failure=None,
            )
        )
