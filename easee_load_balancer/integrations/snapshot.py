"""What a control cycle tells other programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.measurements import ChargerState, InverterReading

CHARGING_W = 100.0
"""A car that draws at least this much is charging."""


@dataclass(frozen=True, slots=True)
class Today:
    """The energy of the current local day so far."""

    since: datetime
    """When the day began."""
    kwh: Mapping[str, float]
    """Energies by the names of the fields of `Energy`."""
    saved: float | None
    """In the tariff's currency; None without a tariff."""
    cloud_calls: int

    def not_below(self, before: Today | None) -> Today:
        """These totals, but none lower than earlier on the same day.

        Counters of the devices correct the totals; a meter that runs backwards would count twice.
        """
        if before is None or before.since != self.since:
            return self
        kwh = {name: max(value, before.kwh.get(name, value)) for name, value in self.kwh.items()}
        return replace(self, kwh=kwh)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One cycle: what was read, decided and known."""

    site: str
    charger_id: str
    loaded_at: datetime
    """When the cycle began to load the policy."""
    at: datetime
    inverter: InverterReading
    charger: ChargerState
    policy: Policy
    boost: Boost | None
    decision: Decision
    outcome: str
    """As in the history: failed, attention, asleep, pushed or held."""
    reason: str
    """The decision in one sentence, or what failed."""
    currency: str | None
    """None without a tariff."""
    import_price: float | None = None
    """What a kWh costs now; None unless prices change in time."""
    plans: bool = False
    """Whether charging is planned here."""
    plan: str | None = None
    """The plan in one sentence."""
    ready_by: str | None = None
    """The departure that was asked for."""
    today: Today | None = None
    """None until it has been summed up."""

    @property
    def is_charging(self) -> bool | None:
        """Whether the car draws power; None if that is unknown."""
        return None if self.charger.car_w is None else self.charger.car_w >= CHARGING_W

    @property
    def house_w(self) -> float | None:
        """What the house uses besides the car; None where a part of it is unknown."""
        ac_w, export_w = self.inverter.inverter_ac_w, self.inverter.grid_export_w
        if ac_w is None or export_w is None or self.charger.car_w is None:
            return None
        return max(0.0, ac_w - export_w - self.charger.car_w)
