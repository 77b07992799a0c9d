"""The price model: what a kilowatt-hour costs and earns, for the law, summaries and backtests."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Price = Annotated[float, Field(ge=-100, le=1000, allow_inf_nan=False)]
HOURS = 24


def _without_default(schema: dict[str, Any]) -> None:
    """Prefect's classic UI does not save a value that equals the default in the schema."""
    schema.pop("default", None)


class Prices(BaseModel):
    """Import and export price per kWh, the same all day or one for each hour of the local day."""

    model_config = ConfigDict(extra="forbid")

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

    def at_hour(self, hour: int) -> Prices:
        """The prices for the control law: those of the hour while its export pays nothing.

        Else the mean prices, so that the law does the same all day.
        """
        if self.export_prices[hour] > 0 or not self.export_price_by_hour:
            return self
        prices = {
            "export_price": self.export_prices[hour],
            "import_price": self.import_prices[hour],
        }
        return self.model_copy(update=prices)

    @property
    def import_prices(self) -> list[float]:
        """The import price of each hour of the day."""
        return self.import_price_by_hour or [self.import_price] * HOURS

    @property
    def export_prices(self) -> list[float]:
        """The export price of each hour of the day."""
        return self.export_price_by_hour or [self.export_price] * HOURS
