"""The energy totals of a period. Needs no pandas, so that the history of a cycle needs none."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

_NOTABLE_KWH = 0.1


@dataclass(frozen=True, slots=True)
class Energy:
    """The totals of a period: energies in kWh, times in s, money in the tariff's currency.

    The sum of two is the total of both periods. None is unknown.
    """

    pv_kwh: float = 0.0
    import_kwh: float = 0.0
    discharge_kwh: float = 0.0
    house_kwh: float = 0.0
    """Includes conversion losses."""
    car_kwh: float = 0.0
    export_kwh: float = 0.0
    charge_kwh: float = 0.0
    losses_kwh: float = 0.0
    """Conversion losses of the inverter; part of the house."""
    unseen_kwh: float = 0.0
    """From a source that is not read, such as a second inverter: at least this much."""
    car_from_solar_kwh: float = 0.0
    car_from_battery_kwh: float = 0.0
    car_from_grid_kwh: float = 0.0

    period_s: float = 0.0
    measured_s: float = 0.0
    grid_unknown_s: float = 0.0
    """Part of the measured time: the inverter is asleep, only the car is known."""
    car_unknown_s: float = 0.0
    """Part of the measured time: the charger is unknown, the car counts as part of the house."""
    charging_s: float = 0.0
    longest_gap_s: float = 0.0
    starts: int = 0
    """Charging starts that the samples show."""
    phase_changes: int = 0
    cycles: int = 0
    cycles_failed: int = 0
    cycles_attention: int = 0
    """The owner has to see to something, such as a meter that is unknown."""
    cycles_missed: int = 0

    meter_import_kwh: float | None = None
    """What the device's own counter shows for the measured time."""
    meter_import_gaps_kwh: float | None = None
    """What it shows for the gaps between measurements."""
    meter_export_kwh: float | None = None
    meter_export_gaps_kwh: float | None = None
    battery_charged_kwh: float | None = None
    battery_charged_gaps_kwh: float | None = None
    battery_discharged_kwh: float | None = None
    battery_discharged_gaps_kwh: float | None = None
    charger_session_kwh: float | None = None
    charger_session_gaps_kwh: float | None = None
    import_sampled_kwh: float | None = None
    """What the samples alone give for the time in which the counter was used."""
    export_sampled_kwh: float | None = None
    charge_sampled_kwh: float | None = None
    discharge_sampled_kwh: float | None = None

    import_cost: float | None = None
    export_income: float | None = None
    car_grid_cost: float | None = None
    saved: float | None = None
    """Solar energy in the car: its import price less the export income given up."""
    car_solar_cost: float | None = None
    """Export income given up for the car. Known where the prices change in time."""
    car_battery_cost: float | None = None
    car_arrival_cost: float | None = None
    """What the same energy would have cost at full power from the arrival on."""

    def __add__(self, other: Energy) -> Energy:
        total: dict[str, Any] = {
            field.name: _sum(getattr(self, field.name), getattr(other, field.name))
            for field in fields(self)
        }
        total["longest_gap_s"] = max(self.longest_gap_s, other.longest_gap_s)
        return Energy(**total)

    @property
    def self_consumption_pct(self) -> float | None:
        """Share of the PV energy that was used at home."""
        if self.has_unseen_source:
            return None
        return _share_pct(self.pv_kwh - self.export_kwh, self.pv_kwh)

    @property
    def self_sufficiency_pct(self) -> float | None:
        """Share of the consumption that did not come from the grid."""
        if self.has_unseen_source:
            return None
        used_kwh = self.house_kwh + self.car_kwh
        return _share_pct(used_kwh - self.import_kwh, used_kwh)

    @property
    def car_cost(self) -> float | None:
        """What the car's energy cost, from all sources; None where prices do not change."""
        parts = (self.car_solar_cost, self.car_battery_cost, self.car_grid_cost)
        if self.car_arrival_cost is None:
            return None
        return sum(part for part in parts if part is not None)

    @property
    def has_unseen_source(self) -> bool:
        """Whether a source is not read, so that PV energy and the house's use are too low."""
        return self.unseen_kwh >= _NOTABLE_KWH

    @property
    def unmeasured_s(self) -> float:
        """Time without measurements."""
        return self.period_s - self.measured_s


def _share_pct(part: float, whole: float) -> float | None:
    return min(max(100 * part / whole, 0.0), 100.0) if whole > 0 else None


def _sum(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other
