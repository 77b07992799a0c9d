"""When the car has to be ready, and with how much energy: every week, or once. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from easee_load_balancer.control.metered_charge import MeteredCharge
from easee_load_balancer.energy.timed_prices import weekdays_called
from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.periods import time_zone_called

_LINE = re.compile(
    r"(?:(?P<days>[a-z,-]+)\s+)?(?P<leaves>\d{1,2}:\d{2})(?:\s*-\s*(?P<back>\d{1,2}:\d{2}))?"
    r"\s+(?P<amount>\d+(?:[.,]\d+)?)\s*(?P<unit>kwh|%)",
    re.IGNORECASE,
)
_READY_BY = re.compile(
    r"(?P<at>.*?)\s*,\s*(?P<amount>\d+(?:[.,]\d+)?)\s*(?P<unit>kwh|%)", re.IGNORECASE
)
USUALLY_AWAY = timedelta(hours=9)
"""How long the car is away where the owner has not said."""
MOST_KWH = 200.0
"""No car takes more; a larger number is a slip of the keyboard."""
_FURTHEST = timedelta(days=7)
"""How far ahead a departure can be asked for: a week later it is a weekly one."""
_EXAMPLE = "tomorrow 07:00, 20 kWh"
_LINE_EXAMPLE = "Mon-Fri 07:30-17:00 12 kWh"


@dataclass(frozen=True, slots=True)
class Amount:
    """An energy in kWh, or a state of charge in per cent."""

    kwh: float | None = None
    soc_pct: float | None = None

    @classmethod
    def parsed(cls, number: str, unit: str) -> Amount:
        """The amount. Raises ValueError for what no car takes."""
        value = float(number.replace(",", "."))
        if unit == "%":
            if not 0 < value <= 100:
                raise ValueError(f"{value:g} % is not a state of charge")
            return cls(soc_pct=value)
        if not 0 < value <= MOST_KWH:
            raise ValueError(f"no car takes {value:g} kWh")
        return cls(kwh=value)

    def __str__(self) -> str:
        return f"{self.kwh:g} kWh" if self.kwh is not None else f"{self.soc_pct:g} %"


@dataclass(frozen=True, slots=True)
class WeeklyDeparture:
    """A departure that comes every week."""

    weekdays: frozenset[int]
    leaves: time
    back: time | None
    amount: Amount

    @classmethod
    def parsed(cls, line: str) -> WeeklyDeparture:
        """The departure of a line such as "Mon-Fri 07:30-17:00 12 kWh". Raises ValueError."""
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise ValueError(f"{line[:60]!r} is not like {_LINE_EXAMPLE!r}")
        back = found["back"]
        return cls(
            weekdays_called(found["days"]) if found["days"] else frozenset(range(7)),
            _time(found["leaves"]),
            _time(back) if back else None,
            Amount.parsed(found["amount"], found["unit"].lower()),
        )

    def on(self, day: date, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
        """When the car leaves on that local day and when it is back, in UTC; None: it stays."""
        if day.weekday() not in self.weekdays:
            return None
        leaves = datetime.combine(day, self.leaves, zone).astimezone(UTC)
        if self.back is None:
            return leaves, leaves + USUALLY_AWAY
        back_on = day + timedelta(days=self.back <= self.leaves)
        return leaves, datetime.combine(back_on, self.back, zone).astimezone(UTC)


def weekly_departures(lines: Sequence[str]) -> tuple[WeeklyDeparture, ...]:
    """The departures of these lines. Raises ValueError for a line it cannot read, or too many."""
    if len(lines) > 50:
        raise ValueError("more than 50 lines")
    return tuple(WeeklyDeparture.parsed(line) for line in lines)


class ChargingWishes(BaseModel):
    """What the car needs, and when: grid energy is bought only for this."""

    model_config = ConfigDict(extra="forbid")

    departures: list[str] = Field(
        default_factory=list,
        title="Departures",
        description="One per line, with the time of return and what the car needs when it leaves: "
        "'Mon-Fri 07:30-17:00 12 kWh', 'Sun 10:00 80 %'. Energy counts from the last return.",
    )
    floor_kwh: float = Field(
        default=0,
        ge=0,
        le=MOST_KWH,
        title="Charge at once up to (kWh)",
        description="Charged at any price as soon as the car is plugged in; 0: nothing.",
    )
    charge_below_price: Annotated[float | None, Field(ge=-100, le=1000)] = Field(
        default=None,
        title="Always charge below this price",
        description="At this import price per kWh or less the car charges whatever the plan says.",
    )
    car_battery_kwh: Annotated[float | None, Field(gt=1, le=MOST_KWH)] = Field(
        default=None,
        title="Car battery (kWh)",
        description="Usable capacity. Needed for departures in %, together with the state of "
        "charge by MQTT.",
    )
    usual_trip_kwh: float = Field(
        default=10,
        gt=0,
        le=MOST_KWH,
        title="Usual trip (kWh)",
        description="Energy of a trip, for departures in %; this much is charged while the state "
        "of charge is unknown.",
    )

    home_battery_kwh: float = Field(
        default=0,
        ge=0,
        le=200,
        title="House battery (kWh)",
        description="Usable capacity of the house battery, for the plan; 0: none.",
    )

    @field_validator("departures")
    @classmethod
    def _readable(cls, lines: list[str]) -> list[str]:
        weekly_departures(lines)
        return lines

    @property
    def weekly(self) -> tuple[WeeklyDeparture, ...]:
        """The departures of a week."""
        return weekly_departures(self.departures)


def upcoming(
    weekly: Sequence[WeeklyDeparture], now: datetime, until: datetime, zone: ZoneInfo
) -> Iterator[tuple[datetime, datetime, Amount]]:
    """Departures after `now` and before `until`, by time: when, when back, with how much."""
    day, last = now.astimezone(zone).date(), until.astimezone(zone).date()
    found = []
    while day <= last:
        for one in weekly:
            times = one.on(day, zone)
            if times is not None and now < times[0] < until:
                found.append((*times, one.amount))
        day += timedelta(days=1)
    yield from sorted(found, key=lambda each: each[0])


class ReadyBy(MeteredCharge):
    """A single departure that somebody asked for; it ends then, or when its run is cancelled."""

    at: AwareDatetime
    energy_kwh: float | None = None
    """To be charged from when it was asked for."""
    soc_pct: float | None = None
    time_zone: str = "UTC"
    possible_kwh: float | None = None
    """What of the energy can be in the car by then; None: all of it."""

    @classmethod
    def asked(cls, text: str, time_zone: str, now: datetime) -> Self:
        """What a form asks for: "tomorrow 07:00, 20 kWh", "Fri 07:00, 80 %".

        Raises ConfigurationError with what is wrong in it.
        """
        zone = time_zone_called(time_zone)
        found = _READY_BY.fullmatch(text.strip())
        if found is None:
            raise ConfigurationError(f"Ready by: {text[:60]!r} is not like {_EXAMPLE!r}.")
        try:
            amount = Amount.parsed(found["amount"], found["unit"].lower())
            at = _moment(found["at"], zone, now)
        except ValueError as error:
            raise ConfigurationError(f"Ready by: {error}.") from None
        return cls(
            started_at=now,
            at=at,
            energy_kwh=amount.kwh,
            soc_pct=amount.soc_pct,
            time_zone=time_zone,
        )

    def ended(self, now: datetime) -> str | None:
        """Why it is over; None while it lasts."""
        return "the car may leave" if now >= self.at else None

    @property
    def missing_kwh(self) -> float | None:
        """What is still to be charged; None where a state of charge was asked for."""
        return None if self.energy_kwh is None else max(0.0, self.energy_kwh - self.charged_kwh)

    def within(self, max_w: float, now: datetime) -> Self:
        """The request, with what can be charged by then at that power if that is not all of it."""
        if self.missing_kwh is None:
            return self
        most_kwh = max_w / 1000 * max(self.at - now, timedelta()) / timedelta(hours=1)
        possible_kwh = self.charged_kwh + most_kwh if most_kwh < self.missing_kwh else None
        return self.model_copy(update={"possible_kwh": possible_kwh})

    def progress(self, now: datetime) -> str:
        """How far it has come, for the name of its run."""
        if self.possible_kwh is not None:
            return f"{self.title}: only {self.possible_kwh:.0f} kWh are possible by then"
        if self.car == "here":
            return f"{self.title}: {self.charged_kwh:.1f} kWh so far"
        return f"{self.title}: waits for a car"

    @property
    def title(self) -> str:
        """The request in words."""
        zone = ZoneInfo(self.time_zone)
        return f"{self.whose}ready by {self.at.astimezone(zone):%a %H:%M} with {self.amount}"

    @property
    def amount(self) -> Amount:
        """What was asked for."""
        return Amount(self.energy_kwh, self.soc_pct)

    def __str__(self) -> str:
        return self.title


def _moment(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """The next "07:00", "tomorrow 07:00", "Fri 07:00" or "2026-11-27 07:00". Raises ValueError."""
    local = now.astimezone(zone)
    day_text, _, clock = text.strip().lower().rpartition(" ")
    try:
        leaves = _time(clock)
        if day_text in ("", "today", "tomorrow"):
            day = local.date() + timedelta(days=day_text == "tomorrow")
            if not day_text and datetime.combine(day, leaves, zone) <= local:
                day += timedelta(days=1)
        elif day_text[:1].isdigit():
            day = date.fromisoformat(day_text)
        else:
            (weekday,) = weekdays_called(day_text)
            day = local.date() + timedelta(days=(weekday - local.weekday()) % 7)
            if datetime.combine(day, leaves, zone) <= local:
                day += timedelta(days=7)
    except ValueError:
        raise ValueError(
            f"{text[:40]!r} is not a time such as 'tomorrow 07:00', 'Fri 07:00' or "
            "'2026-11-27 07:00'"
        ) from None
    at = datetime.combine(day, leaves, zone).astimezone(UTC)
    if at <= now:
        raise ValueError(f"{text[:40]} is in the past")
    if at - now > _FURTHEST:
        raise ValueError(f"{text[:40]} is more than a week ahead")
    return at


def _time(text: str) -> time:
    hours, _, minutes = text.partition(":")
    return time(int(hours), int(minutes))
