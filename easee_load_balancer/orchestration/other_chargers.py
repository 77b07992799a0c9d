"""The further chargers of a home that has several: one block, beside that of the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from prefect.blocks.core import Block
from pydantic import ConfigDict, Field, field_validator, model_validator

from easee_load_balancer.control.departures import MOST_KWH, ChargingWishes, weekly_departures
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.devices.easee.models import ChargerAddress
from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.measurements import MIN_CURRENT_A
from easee_load_balancer.orchestration.own_addresses import LOGO, SETTINGS, OwnAddress

if TYPE_CHECKING:
    from easee_load_balancer.orchestration.blocks import Site

_NAME = r"^[^/|]{1,40}$"


class OtherCharger(ChargerAddress):
    """A further charger, and how its car charges; everything else is as in the charging policy."""

    model_config = ConfigDict(extra="ignore")

    name: str = Field(
        pattern=_NAME, title="Name", description="Name of this charger in messages and on pages."
    )
    priority: int = Field(
        default=1,
        ge=1,
        le=9,
        title="Priority",
        description="1 comes first. Chargers of the same priority share the surplus equally.",
    )
    mode: Literal["off", "solar", "solar+minimum", "fast"] = Field(
        default="solar", title="Mode", description="As in the charging policy, for this charger."
    )
    min_current_a: int = Field(
        default=6,
        ge=MIN_CURRENT_A,
        le=10,
        title="Minimum current (A)",
        description="Charging pauses below this.",
    )
    max_current_a: int = Field(
        default=16,
        ge=10,
        le=32,
        title="Maximum current (A)",
        description="This car never gets more than this per phase.",
    )
    departures: list[str] = Field(
        default_factory=list,
        title="Departures",
        description="One per line, in kWh, as in the block Charging plan: 'Mon-Fri 07:30-17:00 "
        "12 kWh'. Empty: nothing is planned for this car.",
    )
    floor_kwh: float = Field(
        default=0,
        ge=0,
        le=MOST_KWH,
        title="Charge at once up to (kWh)",
        description="Charged at any price as soon as this car is plugged in; 0: nothing.",
    )

    @field_validator("departures")
    @classmethod
    def _in_kwh(cls, lines: list[str]) -> list[str]:
        if any(one.amount.kwh is None for one in weekly_departures(lines)):
            raise ValueError("the state of charge of this car is not known: write kWh")
        return lines

    def wishes(self, of_home: ChargingWishes | None) -> ChargingWishes | None:
        """What this car needs and when; everything else is as in the home's charging plan."""
        if not self.departures and not self.floor_kwh:
            return None
        home = of_home or ChargingWishes()
        return ChargingWishes(
            departures=self.departures,
            floor_kwh=self.floor_kwh,
            charge_below_price=home.charge_below_price,
            home_battery_kwh=home.home_battery_kwh,
        )


class OtherChargers(Block):
    """Further chargers in the same home. Only needed where there is more than one."""

    _block_type_name = "Other chargers"
    _block_type_slug = "other-chargers"
    _logo_url: ClassVar[Any] = OwnAddress(LOGO)
    _documentation_url: ClassVar[Any] = OwnAddress(SETTINGS, section=True)

    model_config = ConfigDict(extra="ignore")

    MOST: ClassVar[int] = 5

    first_name: str = Field(
        default="First charger",
        pattern=_NAME,
        title="Name of the first charger",
        description="Name of the one in the block Easee charger, in messages and on pages.",
    )
    first_priority: int = Field(
        default=1,
        ge=1,
        le=9,
        title="Priority of the first charger",
        description="1 comes first. Chargers of the same priority share the surplus equally.",
    )
    chargers: list[OtherCharger] = Field(
        default_factory=list,
        max_length=MOST,
        title="Other chargers",
        description="Each with its IDs from the Easee cloud; `easee-balancer setup` finds them.",
    )

    @model_validator(mode="after")
    def _all_differ(self) -> OtherChargers:
        names = [self.first_name, *(one.name for one in self.chargers)]
        ids = [one.charger_id for one in self.chargers]
        if len(set(names)) < len(names) or len(set(ids)) < len(ids):
            raise ValueError("each charger needs a name and an id of its own")
        return self


@dataclass(frozen=True, slots=True)
class NamedCharger:
    """A charger of a home."""

    key: str
    """Under which its own cycles are in the history: the home's where it is the only one."""
    state_key: str
    """Under which its state, its requests and its plan are: the home's for the first one."""
    name: str
    """Empty where a home has only one."""
    priority: int
    address: ChargerAddress
    policy: Policy
    wishes: ChargingWishes | None
    """None: nothing is planned for its car, unless a departure is asked for."""

    @property
    def hears_of_soc(self) -> bool:
        """Whether the car's state of charge can be known: it is sent for the first one alone."""
        return not self.name or self.state_key != self.key


@dataclass(frozen=True, slots=True)
class Chargers:
    """All chargers of a home, the first one first."""

    all: tuple[NamedCharger, ...]

    @classmethod
    def of(cls, site: Site) -> Chargers:
        """Those of a site. Raises ConfigurationError where one is listed twice."""
        others = site.others
        listed = [] if others is None else others.chargers
        first = NamedCharger(
            key=key_of(site.name, site.charger.charger_id) if listed else site.name,
            state_key=site.name,
            name=others.first_name if others is not None and listed else "",
            priority=1 if others is None else others.first_priority,
            address=site.charger,
            policy=site.policy,
            wishes=site.wishes,
        )
        if any(one.charger_id == first.address.charger_id for one in listed):
            raise ConfigurationError(
                f"The block 'Other chargers' named '{site.name}' lists {first.address.charger_id}, "
                "which is in the block 'Easee charger' already. Correct it under Blocks."
            )
        return cls((first, *(_named(site, one) for one in listed)))

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return len(self.all) > 1

    @property
    def circuits(self) -> list[int]:
        """The circuit of each charger."""
        return [one.address.circuit_id for one in self.all]

    def called(self, name: str) -> NamedCharger:
        """The charger of that name or id, the first one for none. Raises ConfigurationError."""
        if not name:
            return self.all[0]
        for one in self.all:
            if name.lower() in (one.name.lower(), one.address.charger_id.lower()):
                return one
        known = ", ".join(one.name or one.address.charger_id for one in self.all)
        raise ConfigurationError(f"There is no charger '{name}' here, only {known}.")


def key_of(site: str, charger_id: str) -> str:
    """The name under which one of several chargers of a site is in the history."""
    return f"{site}/{charger_id}"


def _named(site: Site, one: OtherCharger) -> NamedCharger:
    own = {name: getattr(one, name) for name in ("mode", "min_current_a", "max_current_a")}
    key = key_of(site.name, one.charger_id)
    return NamedCharger(
        key=key,
        state_key=key,
        name=one.name,
        priority=one.priority,
        address=one,
        policy=site.policy.model_copy(update=own),
        wishes=one.wishes(site.wishes),
    )
