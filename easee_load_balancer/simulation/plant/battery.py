"""The house's battery, in one-second steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from easee_load_balancer.simulation.plant.battery_controls import BatteryControls

if TYPE_CHECKING:
    from easee_load_balancer.simulation.plant.plant import BatterySpec


@dataclass(slots=True)
class Battery:
    """A battery that discharges to cover a deficit and charges from the surplus."""

    spec: BatterySpec
    charge_w: float = 0.0
    stored_wh: float = field(init=False)
    controls: BatteryControls = field(init=False)

    def __post_init__(self) -> None:
        self.controls = BatteryControls(self.spec.max_power_w)
        self.stored_wh = self.spec.capacity_wh * self.spec.start_soc_pct / 100

    @property
    def soc_pct(self) -> float:
        return 100 * self.stored_wh / self.spec.capacity_wh

    @property
    def full(self) -> bool:
        return self.stored_wh >= self.spec.capacity_wh

    def step(self, surplus_w: float, pv_w: float, rated_w: float) -> None:
        """Follow the surplus (PV less load and car) with the inverter's own regulation lag."""
        spec = self.spec
        wanted = self.controls.power_w(max(-spec.max_power_w, min(surplus_w, spec.max_power_w)))
        charge = self.charge_w + (wanted - self.charge_w) * 0.4
        highest_w = pv_w + rated_w if self.controls.charges_from_grid else pv_w
        charge = max(pv_w - rated_w, min(charge, highest_w))
        empty = self.stored_wh <= spec.capacity_wh * spec.lowest_soc_pct / 100
        if (charge > 0 and self.full) or (charge < 0 and empty):
            charge = 0.0
        self.charge_w = charge
        stored = charge * spec.efficiency if charge > 0 else charge / spec.efficiency
        self.stored_wh += stored / 3600
