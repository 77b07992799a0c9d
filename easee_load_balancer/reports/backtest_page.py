"""The page of a backtest: what another policy would have changed on recorded days."""

from __future__ import annotations

from easee_load_balancer.backtest.replay import UNLIMITED_KWH
from easee_load_balancer.backtest.result import Backtest, total
from easee_load_balancer.reports.markdown import as_duration, as_kwh, as_table, embedded

_NOTABLE_KWH = 0.05
_WORTH_SAYING_KWH = 0.5
_NOTABLE_S = 180.0


def headline(test: Backtest) -> str:
    """What the change would have achieved, in one sentence."""
    if not test.days and test.left_out:
        return f"No day was measured for 90 % of its daylight: {test.period.title}"
    if not test.days:
        return f"No measurements for {test.period.title}"
    if not test.is_reliable:
        recorded_kwh, replayed_kwh = test.car_kwh
        return (
            f"No result for {_days(test)}: under the current policy the model charges "
            f"{as_kwh(replayed_kwh)} kWh instead of the {as_kwh(recorded_kwh)} kWh recorded"
        )
    old, new = total(test.current.values()), total(test.changed.values())
    if not test.change:
        return (
            f"Replayed under the current policy, {_days(test)} gives "
            f"{as_kwh(old.car_from_solar_kwh)} kWh of solar in the car; {_error(test)}"
        )
    more_kwh = new.car_from_solar_kwh - old.car_from_solar_kwh
    sentence = (
        f"With {test.change}, {_days(test)} would have given {_more(more_kwh, 'solar in the car')} "
        f"({as_kwh(new.car_from_solar_kwh)} instead of {as_kwh(old.car_from_solar_kwh)})"
    )
    others = {
        "grid": new.car_from_grid_kwh - old.car_from_grid_kwh,
        "battery": new.car_from_battery_kwh - old.car_from_battery_kwh,
    }
    parts = [
        _more(kwh, f"from the {source}")
        for source, kwh in others.items()
        if abs(kwh) >= _WORTH_SAYING_KWH
    ]
    return f"{sentence}, {' and '.join(parts)}" if parts else sentence


def markdown(test: Backtest, picture: bytes | None) -> str:
    """The whole page."""
    if picture is None:
        return "\n\n".join([f"# {headline(test)}", *_left_out(test)]) + "\n"
    return "\n\n".join(
        [
            f"# {headline(test)}",
            f"**{test.period.title}**, {test.site}. {_gain(test)}",
            embedded(picture, test.period.title),
            "## Total",
            _totals(test),
            *(["## Day by day", _day_by_day(test)] if len(test.days) > 1 else []),
            *_costs(test),
            "## Accuracy",
            *_accuracy(test),
            "",
        ]
    )


def _days(test: Backtest) -> str:
    """The days with measurements."""
    if len(test.days) == 1:
        (day,) = test.days
        return f"{day:%A} {day.day} {day:%B}"
    first, last = min(test.days), max(test.days)
    until = f"{last.day} {last:%B}"
    same_month = (first.year, first.month) == (last.year, last.month)
    since = f"{first.day}" if same_month else f"{first.day} {first:%B}"
    return f"{since} to {until}"


def _more(kwh: float, what: str) -> str:
    if abs(kwh) < _NOTABLE_KWH:
        return f"the same amount of {what}"
    return f"{as_kwh(abs(kwh))} kWh {'more' if kwh > 0 else 'less'} {what}"


def _gain(test: Backtest) -> str:
    if not test.change or not test.is_reliable:
        return ""
    prices = test.prices
    return (
        f"Compared with charging at night for {prices.night_price:.2f} {prices.currency}/kWh, the "
        f"change is worth {test.gain:+.2f} {prices.currency}."
    )


def _costs(test: Backtest) -> list[str]:
    """What the recorded charging cost, and what it would have cost with a plan."""
    costs = test.costs
    if costs is None or not costs.sessions:
        return []
    currency = test.prices.currency
    rows = [
        ("as recorded", f"{costs.recorded:.2f}"),
        ("on arrival, at full power", f"{costs.arrival:.2f}"),
        ("planned, ready by each departure", f"{costs.planned:.2f}"),
    ]
    difference = f"{abs(costs.saved):.2f} {currency} {'less' if costs.saved >= 0 else 'more'}"
    return [
        "## Money",
        f"Planned to be ready by each departure, the recorded charging would have cost "
        f"{difference}: {as_kwh(costs.kwh)} kWh, plugged in {costs.sessions} times.",
        as_table(("Car's energy", currency), "lr", rows),
        "Solar energy costs what it would have earned as export. The plan knows prices, sun and "
        "departures beforehand: a real one gains somewhat less.",
    ]


def _totals(test: Backtest) -> str:
    sides = [total(test.current.values())]
    names = ["", "current policy"]
    if test.recorded:
        sides.insert(0, total(test.recorded.values()))
        names.insert(1, "recorded")
    if test.change:
        sides.append(total(test.changed.values()))
        names.append("changed")
    rows = [
        (name, *(as_kwh(getattr(side, field)) for side in sides))
        for name, field in (
            ("Car, kWh", "car_kwh"),
            ("from solar", "car_from_solar_kwh"),
            ("from the battery", "car_from_battery_kwh"),
            ("from the grid", "car_from_grid_kwh"),
            ("Sold to the grid, kWh", "export_kwh"),
        )
    ]
    rows += [
        (name, *(str(getattr(side, field)) for side in sides))
        for name, field in (("Charging starts", "starts"), ("Phase changes", "phase_changes"))
    ]
    return as_table(names, "l" + "r" * len(sides), rows)


def _day_by_day(test: Backtest) -> str:
    names = ["day", "solar recorded", "solar, current"]
    names += ["solar, changed", "difference", "grid, current", "grid, changed"] * bool(test.change)
    rows = []
    for day in test.days:
        old, new, was = test.current[day], test.changed[day], test.recorded.get(day)
        row = [
            f"{day:%a} {day.day} {day:%b}",
            as_kwh(was.car_from_solar_kwh if was else None),
            as_kwh(old.car_from_solar_kwh),
        ]
        if test.change:
            row += [
                as_kwh(new.car_from_solar_kwh),
                f"{round(new.car_from_solar_kwh - old.car_from_solar_kwh, 1) + 0.0:+.1f}",
                as_kwh(old.car_from_grid_kwh),
                as_kwh(new.car_from_grid_kwh),
            ]
        rows.append(row)
    return as_table(names, "l" + "r" * (len(names) - 1), rows)


def _error(test: Backtest) -> str:
    error = test.error_pct
    if error is None:
        return "there is no recording to compare it with"
    if abs(error) < 0.05:
        return "the same as recorded"
    return f"{abs(error):.1f} % {'more' if error > 0 else 'less'} than recorded"


def _accuracy(test: Backtest) -> list[str]:
    """The model's error, and what it assumes."""
    parts = []
    if test.error_pct is not None:
        parts.append(
            f"Under the current policy the model charges "
            f"{as_kwh(total(test.current.values()).car_kwh)} kWh, {_error(test)}. Smaller "
            "differences between the policies mean nothing."
        )
    facts = [*_deviations(test), *_assumptions(test)]
    return [*parts, "\n".join(f"- {fact}" for fact in facts)]


def _deviations(test: Backtest) -> list[str]:
    """Why the recorded days differ from the current policy."""
    others_s = sum(one.recorded.other_modes_s for one in test.days.values())
    gaps_s = total(test.recorded.values()).unmeasured_s
    known = test.days.keys() | test.left_out.keys()
    missing = [day for day in test.period.days if day not in known]
    facts = []
    if others_s >= _NOTABLE_S:
        facts.append(
            f"Another mode was in force for {as_duration(others_s)} (a boost, for example); both "
            "replays ignore that."
        )
    if gaps_s >= _NOTABLE_S:
        facts.append(f"{as_duration(gaps_s)} without measurements are filled in.")
    facts += _left_out(test)
    if missing:
        facts.append(f"Days without measurements are left out: {len(missing)}.")
    return facts


def _left_out(test: Backtest) -> list[str]:
    return [
        f"Left out: {day:%a} {day.day} {day:%b}, measured for {100 * share:.0f} % of its daylight."
        for day, share in test.left_out.items()
    ]


def _assumptions(test: Backtest) -> list[str]:
    car, battery = test.house.car, test.house.battery
    plug_ins = [one.recorded.day.plug_ins for one in test.days.values()]
    with_car = [intervals for intervals in plug_ins if intervals]
    not_full = sum(any(i.needed_kwh == UNLIMITED_KWH for i in day) for day in with_car)
    limit = f", {car.max_current_a:.0f} A at most" if car.max_current_a < 32 else ""
    facts = [
        f"A car was plugged in on {len(with_car)} of {len(test.days)} days"
        + f"; on {not_full} it was not seen full, so the model charges on" * bool(not_full)
        + ". Each day is replayed by itself: more energy on one day changes nothing on the next.",
        f"The car charges on {car.phases} phase{'s' * (car.phases > 1)}{limit}.",
        "The current policy is assumed for all days. Limits set at the charger, the circuit or in "
        "the app are not recorded.",
        "The load of each phase is not recorded: the main fuse is modelled with a typical spread.",
    ]  # fmt: skip
    if battery is not None:
        facts.append(
            f"The battery has {battery.capacity_wh / 1000:.1f} kWh and "
            f"{battery.max_power_w / 1000:.1f} kW, without losses."
        )
    return facts
