"""What the house took from its battery in the last nights: so much should be in it by the evening.

Counted from noon to noon (UTC) in the dark while no car draws, in % of the battery, so that its
capacity and its losses need not be known. Where it ran empty, what the house drew from the grid
counts too.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from statistics import fmean

from easee_load_balancer.control.sparse import Sparse
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.measurements import InverterReading

ROUND_TRIP = 0.9
"""What is left of a kWh that went through the battery."""
NIGHTS = 5
"""The newest nights count."""
_NOON = timedelta(hours=12)
"""In the middle of the day no night is cut in two."""
_LEAST_FALL_PCT = 3.0
"""A smaller fall says too little about what a percent is worth."""
_SUN_W = 300.0
"""With more PV than this it is day: what a dull day takes is not the night's."""
_RESTS_W = 50.0
"""Less than this is standby or noise."""


class Nights(Sparse):
    """What was counted; stored with the controller state."""

    since_noon: date | None = None
    """The day at whose noon the present count began."""
    partial: bool = True
    """Whether the count began later than at noon."""
    soc_pct: float | None = None
    """State of charge in the last cycle."""
    fell_pct: float = 0.0
    given_wh: float = 0.0
    lacked_wh: float = 0.0
    """What the empty battery did not give."""
    empty_pct: float | None = None
    """State of charge at which it gave nothing."""
    needs_pct: tuple[float, ...] = ()
    """Of the last nights, the newest last."""


def follow_night(
    nights: Nights,
    now: datetime,
    since_last: timedelta,
    inverter: InverterReading,
    *,
    car_draws: bool,
) -> Nights:
    """The count after this cycle."""
    charge_w, export_w = inverter.battery_charge_w, inverter.grid_export_w
    soc_pct, since_noon = inverter.battery_soc_pct, (now - _NOON).date()
    if charge_w is None or export_w is None or soc_pct is None:
        return nights
    if nights.since_noon != since_noon:
        nights = _finished(nights).model_copy(update={"since_noon": since_noon})
    update: dict[str, object] = {"soc_pct": soc_pct}
    hours = since_last / timedelta(hours=1)
    counts = not car_draws and (inverter.pv_w or 0.0) < _SUN_W
    if counts and charge_w < -_RESTS_W:
        fell_pct = max(0.0, (nights.soc_pct or soc_pct) - soc_pct)
        update["given_wh"] = nights.given_wh - charge_w * hours
        update["fell_pct"] = nights.fell_pct + fell_pct
    elif counts and export_w < -_RESTS_W and charge_w < _RESTS_W:
        update["lacked_wh"] = nights.lacked_wh - export_w * hours
        update["empty_pct"] = soc_pct
    return nights.model_copy(update=update)


def _finished(nights: Nights) -> Nights:
    """Ready for the next night."""
    needs = nights.needs_pct
    if not nights.partial and nights.fell_pct >= _LEAST_FALL_PCT and nights.given_wh > 0:
        whole = (nights.given_wh + nights.lacked_wh) / nights.given_wh
        needs = (*needs, min(100.0, nights.fell_pct * whole))[-NIGHTS:]
    first = nights.since_noon is None
    return Nights(
        partial=first, soc_pct=nights.soc_pct, empty_pct=nights.empty_pct, needs_pct=needs
    )


def first_until_pct(nights: Nights, prices: Prices) -> float | None:
    """State of charge that covers such a night; None = not known yet.

    0 where the night's import costs no more than charging the car at night.
    """
    if prices.import_price * ROUND_TRIP <= prices.night_price:
        return 0.0
    if not nights.needs_pct:
        return None
    return min(100.0, (nights.empty_pct or 0.0) + fmean(nights.needs_pct))
