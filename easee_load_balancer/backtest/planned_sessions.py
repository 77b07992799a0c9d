"""What recorded charging would have cost with a plan that is ready by each recorded departure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from easee_load_balancer.control.plan import Car, Departure, PlanInputs, PlanSlot
from easee_load_balancer.control.planner import make_plan
from easee_load_balancer.control.power_estimate import NOMINAL_VOLTAGE_V
from easee_load_balancer.energy.car_costs import Session
from easee_load_balancer.energy.price_table import PriceTable
from easee_load_balancer.energy.resampling import seconds
from easee_load_balancer.periods import QUARTER, quarter_of

_LEAST_KWH = 0.5
_LONGEST = timedelta(hours=72)


@dataclass(frozen=True, slots=True)
class SessionCosts:
    """The same energy, paid for in three ways, in the tariffs' currency."""

    sessions: int = 0
    kwh: float = 0.0
    recorded: float = 0.0
    arrival: float = 0.0
    planned: float = 0.0
    """With a plan that knows prices, sun and departure beforehand."""

    @property
    def saved(self) -> float:
        """How much less the plan costs than what was done."""
        return self.recorded - self.planned


def session_costs(recorded: Iterable[Session], prices: PriceTable) -> SessionCosts:
    """The costs of recorded sessions, planned with these prices."""
    total = SessionCosts()
    for session in recorded:
        kwh = session.kwh(session.start, session.end)
        if kwh < _LEAST_KWH:
            continue
        total = SessionCosts(
            sessions=total.sessions + 1,
            kwh=total.kwh + kwh,
            recorded=total.recorded + sum(session.cost(session.start, session.end).values()),
            arrival=total.arrival + session.arrival_cost(session.start, session.end),
            planned=total.planned + planned_cost(session, kwh, prices),
        )
    return total


def planned_cost(session: Session, kwh: float, prices: PriceTable) -> float:
    """What the energy costs when it is planned at the arrival."""
    start = quarter_of(session.start)
    end = min(session.end, session.start + _LONGEST)
    count = max(1, -(-(end - start) // QUARTER))
    bins = np.minimum(seconds(session.at, start) // QUARTER.total_seconds(), count - 1).astype(int)
    weight = np.bincount(bins, session.hours, count)
    pv_kw, house_kw = (
        np.divide(np.bincount(bins, values * session.hours, count), weight, where=weight > 0,
                  out=np.zeros(count))
        for values in (session.pv_kw, session.house_kw)
    )  # fmt: skip
    slots = tuple(
        PlanSlot(
            start=start + index * QUARTER,
            import_price=price.import_price,
            export_price=price.export_price,
            pv_w=1000 * float(pv_kw[index]),
            load_w=max(0.0, 1000 * float(house_kw[index])),
        )
        for index, price in enumerate(prices.between(start, start + count * QUARTER))
    )
    phases = 1 if session.highest_kw < 7.5 else 3
    amps = max(6, round(1000 * session.highest_kw / phases / NOMINAL_VOLTAGE_V))
    car = Car(
        energy_kwh=0.0,
        capacity_kwh=kwh,
        max_current_a=amps,
        phases=(1,) if phases == 1 else (1, 3),
    )
    leaves = start + count * QUARTER
    departure = Departure(leaves, kwh, kwh, leaves + timedelta(hours=1))
    return make_plan(
        PlanInputs(now=session.start, slots=slots, car=car, departures=(departure,))
    ).cost
