"""The price model: what a kilowatt-hour costs and earns, for the law, summaries and backtests."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from easee_load_balancer.energy.timed_prices import TimedPrice, price_at

Price = Annotated[float, Field(ge=-100, le=1000, allow_inf_nan=False)]
PriceSource = Literal[
    "fixed", "Energy-Charts", "Nord Pool", "aWATTar", "ENTSO-E", "address", "MQTT"
]
HOURS = 24
_MOST_LINES = 50
_IN_EURO = ("Energy-Charts", "aWATTar", "ENTSO-E")


def _without_default(schema: dict[str, Any]) -> None:
    """Prefect's classic UI does not save a value that equals the default in the schema."""
    schema.pop("default", None)


class Prices(BaseModel):
    """What a kWh costs and earns: fixed, by the clock and the calendar, or day-ahead prices."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    currency: str = Field(
        default="EUR",
        min_length=1,
        max_length=8,
        title="Currency",
        description="Currency of the prices, for example EUR or SEK.",
    )
    import_price: Price = Field(
        default=0.30,
        title="Import price",
        description="What a kWh from the grid costs, taxes and fees included.",
    )
    export_price: Price = Field(
        default=0.08, title="Export price", description="What a kWh sold to the grid earns."
    )
    night_price: Price = Field(
        default=0.20,
        title="Night price",
        description="What a kWh costs when the car charges at night instead of on solar. Empty: "
        "two thirds of the import price.",
        json_schema_extra=_without_default,
    )
    import_price_by_hour: list[Price] = Field(
        default_factory=list,
        title="Import price by hour",
        description="24 prices that begin at midnight; leave empty for one price all day.",
    )
    export_price_by_hour: list[Price] = Field(
        default_factory=list,
        title="Export price by hour",
        description="24 prices that begin at midnight; leave empty for one price all day.",
    )

    import_price_by_time: list[str] = Field(
        default_factory=list,
        title="Import price by weekday, month and time",
        description="One rule per line; the first that matches counts: 'Sat,Sun 0.22', 'Nov-Mar "
        "Mon-Fri 06:00-22:00 0.35'. At other times the import price, or that of the hour, applies.",
    )
    source: PriceSource = Field(
        default="fixed",
        title="Day-ahead prices",
        description="Source of the prices of each quarter-hour. fixed: none; then the settings "
        "from here to the VAT on export have no effect.",
    )
    zone: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9-]{0,20}$",
        title="Bidding zone",
        description="For example SE4, DE-LU, DK1, BE, NL, AT.",
    )
    token: SecretStr = Field(
        default=SecretStr(""),
        title="Token",
        description="For ENTSO-E only: the web API security token of your account.",
    )
    address: str = Field(
        default="",
        pattern=r"^(https?://[^\s]{1,500})?$",
        title="Address of prices",
        description="For 'address': URL of a CSV or JSON file with times and prices per kWh. "
        "Leave empty for the other sources; only a simulated house sets it.",
    )
    exchange_rate: Annotated[float | None, Field(gt=0, le=100_000)] = Field(
        default=None,
        title="Price of one EUR",
        description="In the currency above. Needed if the source has prices in EUR only.",
    )
    spot_surcharge: Price = Field(
        default=0.0,
        title="Supplier's surcharge",
        description="Added to the day-ahead price of each kWh, with taxes per kWh, before VAT.",
    )
    grid_fee: Price = Field(
        default=0.0, title="Grid fee", description="Added to each kWh from the grid, before VAT."
    )
    grid_fee_by_time: list[str] = Field(
        default_factory=list,
        title="Grid fee by weekday, month and time",
        description="Replaces the grid fee; rules as above: 'Mon-Fri 17:00-21:00 0.12'.",
    )
    vat_pct: float = Field(
        default=0.0,
        ge=0,
        le=100,
        title="VAT on import (%)",
        description="On price, surcharge and grid fee together.",
    )
    export_follows_spot: bool = Field(
        default=False,
        title="Export earns the day-ahead price",
        description="Off: the export price above applies.",
    )
    export_surcharge: Price = Field(
        default=0.0,
        title="Added to the export price",
        description="What the buyer adds to the day-ahead price; negative: what the buyer deducts.",
    )
    export_vat_pct: float = Field(
        default=0.0,
        ge=0,
        le=100,
        title="VAT on export (%)",
        description="If you are paid VAT for what you export.",
    )

    peak_price_per_kw: float = Field(
        default=0.0,
        ge=0,
        le=10_000,
        title="Peak price per kW and month",
        description="Capacity tariff: what a kW of the month's highest imports costs; 0: none.",
    )
    peak_highest: int = Field(
        default=3,
        ge=1,
        le=20,
        title="Highest intervals",
        description="The peak is the mean of this many of the month's highest intervals.",
    )
    peak_minutes: Literal["15", "60"] = Field(
        default="60", title="Length of an interval (min)", description="A quarter-hour or an hour."
    )
    peak_different_days: bool = Field(
        default=False,
        title="Intervals of different days",
        description="Only the highest interval of each day counts.",
    )
    peak_free_w: float = Field(
        default=0.0,
        ge=0,
        le=100_000,
        title="Lowest billed peak (W)",
        description="At least this much is billed; 2500 in Belgium.",
    )

    @field_validator("import_price_by_time", "grid_fee_by_time")
    @classmethod
    def _readable(cls, lines: list[str]) -> list[str]:
        if len(lines) > _MOST_LINES:
            raise ValueError(f"more than {_MOST_LINES} lines")
        for line in lines:
            TimedPrice.parsed(line)
        return lines

    @model_validator(mode="after")
    def _complete_source(self) -> Self:
        if self.source == "fixed":
            return self
        if self.source == "address" and not self.address:
            raise ValueError("day-ahead prices from an address need the address of prices")
        if self.source not in ("address", "MQTT") and not self.zone:
            raise ValueError("day-ahead prices need a bidding zone, for example SE4")
        if self.source == "ENTSO-E" and not self.token.get_secret_value():
            raise ValueError("ENTSO-E needs a token")
        if self.is_in_euro and self.currency != "EUR" and self.exchange_rate is None:
            raise ValueError(f"{self.source} has prices in EUR: enter the price of one EUR")
        return self

    @model_validator(mode="after")
    def _whole_days(self) -> Self:
        for name in ("import_price_by_hour", "export_price_by_hour"):
            if len(getattr(self, name)) not in (0, HOURS):
                raise ValueError(f"{name} needs {HOURS} prices, one for each hour, or none at all")
        return self

    @model_validator(mode="after")
    def _estimate_missing_night_price(self) -> Self:
        # 0.20 would not suit an import price in another currency
        if "import_price" in self.model_fields_set and "night_price" not in self.model_fields_set:
            self.night_price = round(self.import_price * 2 / 3, 4)
        return self

    @property
    def solar_gain(self) -> float:
        """What a kWh of solar in the car saves, compared with charging it at night."""
        return self.night_price - self.export_price

    @property
    def grid_loss(self) -> float:
        """What a kWh from the grid by day costs more than at night."""
        return self.import_price - self.night_price

    @property
    def grid_weight(self) -> float | None:
        """How many kWh of solar in the car pay for one kWh from the grid by day.

        None where solar is worth more as export than in the car.
        """
        if self.solar_gain <= 0:
            return None
        return max(0.0, self.grid_loss) / self.solar_gain

    @property
    def export_pays(self) -> bool:
        """Whether a kWh sold to the grid earns anything."""
        return self.export_price > 0

    def for_law(self, local: datetime) -> Prices:
        """The fixed prices for the control law: the present ones while export pays nothing.

        Else the mean prices, so that the law does the same all day.
        """
        export_price = self.export_price_at(local)
        if export_price > 0 or not self.export_price_by_hour:
            return self
        prices = {"export_price": export_price, "import_price": self.import_price_at(local)}
        return self.model_copy(update=prices)

    @property
    def import_prices(self) -> list[float]:
        """The import price of each hour of the day."""
        return self.import_price_by_hour or [self.import_price] * HOURS

    @property
    def export_prices(self) -> list[float]:
        """The export price of each hour of the day."""
        return self.export_price_by_hour or [self.export_price] * HOURS

    @property
    def is_dynamic(self) -> bool:
        """Whether each quarter-hour has a price of its own, which is published a day ahead."""
        return self.source != "fixed"

    @property
    def varies(self) -> bool:
        """Whether the import price changes in time."""
        return self.is_dynamic or bool(self.import_price_by_hour or self.import_price_by_time)

    @property
    def is_in_euro(self) -> bool:
        """Whether the source has prices in EUR whatever the tariff's currency is."""
        return self.source in _IN_EURO or self.currency == "EUR"

    def import_price_at(self, local: datetime, spot: float | None = None) -> float:
        """What a kWh from the grid costs at that local time.

        `spot` is its day-ahead price per kWh; without it, the fixed price holds.
        """
        if spot is None or not self.is_dynamic:
            timed = price_at(_lines(tuple(self.import_price_by_time)), local)
            return self.import_prices[local.hour] if timed is None else timed
        timed = price_at(_lines(tuple(self.grid_fee_by_time)), local)
        fee = self.grid_fee if timed is None else timed
        return (spot + self.spot_surcharge + fee) * (1 + self.vat_pct / 100)

    def export_price_at(self, local: datetime, spot: float | None = None) -> float:
        """What a kWh sold at that local time earns."""
        if spot is None or not self.is_dynamic or not self.export_follows_spot:
            return self.export_prices[local.hour]
        return (spot + self.export_surcharge) * (1 + self.export_vat_pct / 100)


@lru_cache(maxsize=32)
def _lines(lines: tuple[str, ...]) -> tuple[TimedPrice, ...]:
    return tuple(TimedPrice.parsed(line) for line in lines)
