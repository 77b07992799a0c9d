"""What another policy would have made of past days, and the page that says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from easee_load_balancer.backtest.recorded_days import Recorded
from easee_load_balancer.backtest.replay import ENDLESS_KWH, House
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.energy.accounting import Energy
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.periods import Period
from easee_load_balancer.reports.markdown import as_duration, as_kwh, as_table, embedded
from easee_load_balancer.simulation.plant.closed_loop import Outcome

_NOTABLE_KWH = 0.05
_WORTH_TELLING_KWH = 0.5
_NOTABLE_S = 180.0


@dataclass(frozen=True)
class Replayed:
    """A day as it was and as the model plays it."""

    recorded: Recorded
    as_it_is: Outcome
    """Under the policy as it is."""
    changed: Outcome
    """Under the changed policy; the same one where nothing is changed."""


@dataclass(frozen=True)
class Backtest:
    """Past days under the policy as it is and under a changed one."""

    site: str
    period: Period
    policy: Policy
    change: str
    """What is different; empty: nothing."""
    house: House
    days: Mapping[date, Replayed]

    @cached_property
    def as_it_is(self) -> Mapping[date, Energy]:
        """The model's accounts of each day under the policy as it is."""
        return {day: accounts(one.as_it_is) for day, one in self.days.items()}

    @cached_property
    def changed(self) -> Mapping[date, Energy]:
        """The same under the changed policy."""
        return {day: accounts(one.changed) for day, one in self.days.items()}

    @cached_property
    def recorded(self) -> Mapping[date, Energy]:
        """What was measured; empty for days that were not recorded by this project."""
        pairs = ((day, one.recorded.energy) for day, one in self.days.items())
        return {day: energy for day, energy in pairs if energy is not None}

    @property
    def error_pct(self) -> float | None:
        """How much more the model charges than was recorded."""
        recorded_kwh = total(self.recorded.values()).car_kwh
        if recorded_kwh < 1:
            return None
        played_kwh = total(self.as_it_is[day] for day in self.recorded).car_kwh
        return 100 * (played_kwh / recorded_kwh - 1)


def accounts(outcome: Outcome) -> Energy:
    """What a replay says about the car and the grid."""
    return Energy(
        car_kwh=outcome.solar_kwh + outcome.battery_kwh + outcome.grid_kwh,
        car_from_sun_kwh=outcome.solar_kwh,
        car_from_battery_kwh=outcome.battery_kwh,
        car_from_grid_kwh=outcome.grid_kwh,
        import_kwh=outcome.imported_kwh,
        export_kwh=outcome.exported_kwh,
        starts=outcome.starts,
        phase_changes=outcome.phase_changes,
    )


def total(days: Iterable[Energy]) -> Energy:
    """The accounts of all of them together."""
    return sum(days, Energy())


def headline(test: Backtest) -> str:
    """What the change would have brought, in one sentence."""
    if not test.days:
        return f"Nothing was measured on {test.period.title}"
    old, new = total(test.as_it_is.values()), total(test.changed.values())
    if not test.change:
        return (
            f"Replayed under its own policy, {_days(test)} gives "
            f"{as_kwh(old.car_from_sun_kwh)} kWh of sun in the car; {_error(test)}"
        )
    more_kwh = new.car_from_sun_kwh - old.car_from_sun_kwh
    sentence = (
        f"With {test.change}, {_days(test)} would have given {_more(more_kwh, 'sun in the car')} "
        f"({as_kwh(new.car_from_sun_kwh)} instead of {as_kwh(old.car_from_sun_kwh)})"
    )
    others = {
        "grid": new.car_from_grid_kwh - old.car_from_grid_kwh,
        "battery": new.car_from_battery_kwh - old.car_from_battery_kwh,
    }
    parts = [
        _more(kwh, f"from the {source}")
        for source, kwh in others.items()
        if abs(kwh) >= _WORTH_TELLING_KWH
    ]
    return f"{sentence}, {' and '.join(parts)}" if parts else sentence


def markdown(test: Backtest, picture: bytes | None) -> str:
    """The whole page."""
    if picture is None:
        return f"# {headline(test)}\n"
    return "\n\n".join(
        [
            f"# {headline(test)}",
            f"**{test.period.title}**, {test.site}. {_worth(test)}",
            embedded(picture, test.period.title),
            "## Together",
            _together(test),
            *(["## Day by day", _day_by_day(test)] if len(test.days) > 1 else []),
            "## How sure this is",
            *_honesty(test),
            "",
        ]
    )


def _days(test: Backtest) -> str:
    """Which days; those without measurement are not among them."""
    if len(test.days) == 1:
        (day,) = test.days
        return f"{day:%A} {day.day} {day:%B}"
    first, last = min(test.days), max(test.days)
    until = f"{last.day} {last:%B}"
    since = f"{first.day}" if first.month == last.month else f"{first.day} {first:%B}"
    return f"{since} to {until}"


def _more(kwh: float, what: str) -> str:
    if abs(kwh) < _NOTABLE_KWH:
        return f"as much {what}"
    return f"{as_kwh(abs(kwh))} kWh {'more' if kwh > 0 else 'less'} {what}"


def _worth(test: Backtest) -> str:
    """The difference in money, by the prices of the policy as it is."""
    if not test.change:
        return ""
    old, new, prices = (
        total(test.as_it_is.values()),
        total(test.changed.values()),
        Prices(),
    )
    sun_eur = prices.night_price - prices.export_price
    grid_eur = prices.import_price - prices.night_price
    eur = sun_eur * (new.car_from_sun_kwh - old.car_from_sun_kwh) - grid_eur * (
        new.car_from_grid_kwh - old.car_from_grid_kwh
    )
    return f"By the policy's prices, against charging at night, the change is worth {eur:+.2f} EUR."


def _together(test: Backtest) -> str:
    sides = [total(test.as_it_is.values())]
    names = ["", "as it is"]
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
            ("from the sun", "car_from_sun_kwh"),
            ("from the battery", "car_from_battery_kwh"),
            ("from the grid", "car_from_grid_kwh"),
            ("Sold to the grid, kWh", "export_kwh"),
        )
    ]
    rows += [
        (name, *(str(getattr(side, field)) for side in sides))
        for name, field in (("Charges begun", "starts"), ("Phase changes", "phase_changes"))
    ]
    return as_table(names, "l" + "r" * len(sides), rows)


def _day_by_day(test: Backtest) -> str:
    names = ["day", "sun recorded", "sun as it is"]
    names += ["sun changed", "more", "grid as it is", "grid changed"] if test.change else []
    rows = []
    for day in test.days:
        old, new, was = test.as_it_is[day], test.changed[day], test.recorded.get(day)
        row = [
            f"{day:%a} {day.day} {day:%b}",
            as_kwh(was.car_from_sun_kwh if was else None),
            as_kwh(old.car_from_sun_kwh),
        ]
        if test.change:
            row += [
                as_kwh(new.car_from_sun_kwh),
                f"{round(new.car_from_sun_kwh - old.car_from_sun_kwh, 1) + 0.0:+.1f}",
                as_kwh(old.car_from_grid_kwh),
                as_kwh(new.car_from_grid_kwh),
            ]
        rows.append(row)
    return as_table(names, "l" + "r" * (len(names) - 1), rows)


def _error(test: Backtest) -> str:
    error = test.error_pct
    if error is None:
        return "nothing was recorded to compare that with"
    if abs(error) < 0.05:
        return "that is what was recorded"
    return f"that is {abs(error):.1f} % {'more' if error > 0 else 'less'} than recorded"


def _honesty(test: Backtest) -> list[str]:
    """What is known of the model's errors, and what it assumes."""
    parts = []
    if test.error_pct is not None:
        parts.append(
            f"The model charges {as_kwh(total(test.as_it_is.values()).car_kwh)} kWh under the "
            f"policy as it is; {_error(test)}. A difference between the policies that is smaller "
            "than that says nothing."
        )
    facts = [*_troubles(test), *_assumptions(test)]
    return [*parts, "\n".join(f"- {fact}" for fact in facts)]


def _troubles(test: Backtest) -> list[str]:
    """What makes the recorded days differ from the policy as it is."""
    others_s = sum(one.recorded.other_modes_s for one in test.days.values())
    gaps_s = total(test.recorded.values()).unmeasured_s
    missing = [day for day in test.period.days if day not in test.days]
    facts = []
    if others_s >= _NOTABLE_S:
        facts.append(
            f"For {as_duration(others_s)} another mode was in force (a boost, for example); both "
            "replays leave that out."
        )
    if gaps_s >= _NOTABLE_S:
        facts.append(f"{as_duration(gaps_s)} were not measured and are filled in.")
    if missing:
        facts.append(f"Days without any measurement are left out: {len(missing)}.")
    return facts


def _assumptions(test: Backtest) -> list[str]:
    house = test.house
    stays = [one.recorded.day.stays for one in test.days.values() if one.recorded.day.stays]
    endless = sum(any(stay.wants_kwh == ENDLESS_KWH for stay in day) for day in stays)
    not_full = f"; on {endless} it was not seen full: there the model's car takes all it can get"
    facts = [
        f"A car was plugged in on {len(stays)} of {len(test.days)} days"
        + not_full * bool(endless)
        + ". Each day stands by itself: what a car takes more on one is not missing on the next.",
        f"The car draws on {house.car.phases} phase{'s' * (house.car.phases > 1)}"
        + (f", {house.car.max_current_a:.0f} A at most" if house.car.max_current_a < 32 else "")
        + "; the charger does one phase only." * house.one_phase,
        "The policy as it is now is taken to have been in force all the time; "
        "limits by charger, circuit or app are not in the history.",
        "How the household's load spreads over the phases is not recorded: the main fuse is "
        "modelled with a usual spread.",
    ]  # fmt: skip
    if house.battery is not None:
        facts.append(
            f"The battery has {house.battery.capacity_wh / 1000:.1f} kWh and "
            f"{house.battery.max_power_w / 1000:.1f} kW, without losses."
        )
    return [fact if fact.endswith(".") else f"{fact}." for fact in facts]
