"""What the house battery lends the car: how much today, and what a lent Wh has to bring.

The battery covers what the car draws beyond the surplus, whether the law wants that or not. The
account counts all of it, also what an empty battery leaves to the grid. As it fills up, the law
wants less of it, and nothing once it is full.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.control.sparse import Sparse
from easee_load_balancer.measurements import InverterReading

STRICT_GRID_WEIGHT = 10.0
"""Wh of solar energy that a Wh has to bring which the car should not have taken."""


class Lent(Sparse):
    """The account of a day; stored with the controller state."""

    day: date | None = None
    """The UTC day, which ends in the dark."""
    energy_wh: float = 0.0
    """What the car took from the battery on that day, or from the grid beside it."""


def lend(
    lent: Lent,
    now: datetime,
    since_last: timedelta,
    inverter: InverterReading,
    car_w: float,
    assist_w: float,
) -> Lent:
    """The account after a cycle in which the car drew that much.

    `assist_w`: what the owner lets the battery add anyway.
    """
    if lent.day != now.date():
        lent = Lent(day=now.date())
    discharge_w = max(0.0, -(inverter.battery_charge_w or 0.0))
    import_w = max(0.0, -(inverter.grid_export_w or 0.0))
    lent_w = min(car_w, discharge_w + import_w) - assist_w
    if lent_w <= 0:
        return lent
    energy_wh = lent.energy_wh + lent_w * (since_last / timedelta(hours=1))
    return lent.model_copy(update={"energy_wh": energy_wh})


def used_share(lent: Lent, now: datetime, policy: Policy) -> float:
    """How much of the day's allowance is used: 0 to 1; 1 where there is none."""
    allowed_wh = 1000 * policy.battery_lends_kwh
    if allowed_wh <= 0:
        return 1.0
    taken_wh = lent.energy_wh if lent.day == now.date() else 0.0
    return min(1.0, taken_wh / allowed_wh)


def lent_weight(price_weight: float, used: float) -> float:
    """Wh of solar energy that a lent Wh has to bring.

    At first what the prices say: the night's import makes up for it. The less is left of the
    allowance, the more.
    """
    return price_weight + (STRICT_GRID_WEIGHT - price_weight) * used
