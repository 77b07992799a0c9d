"""What the owner wants of the control law."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from easee_load_balancer.measurements import MIN_CURRENT_A

_PhaseChoice = Annotated[Literal["auto", "1", "3"], BeforeValidator(str)]
"""Texts alone, which the form shows as a list; the first blocks were saved with numbers."""


class Policy(BaseModel):
    """What the owner wants. The defaults suit a house without battery and a car on solar power."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["off", "solar", "solar+minimum", "fast"] = Field(
        default="solar",
        title="Mode",
        description=(
            "off: the charger is left alone. solar: charge with surplus sun. solar+minimum: as "
            "solar, but never below the lowest current while a car wants to charge. fast: as much "
            "as the limits and the main fuse allow."
        ),
    )
    phases: _PhaseChoice = Field(
        default="auto",
        title="Phases",
        description="auto: one phase while the sun is weak, three when it is strong.",
    )
    min_current_a: int = Field(
        default=6,
        ge=MIN_CURRENT_A,
        le=10,
        title="Lowest current (A)",
        description="Below this the charge pauses; no car can charge with less than 6 A.",
    )
    max_current_a: int = Field(
        default=16,
        ge=10,  # the highest minimum: so the form itself refuses a crossed pair
        le=32,
        title="Highest current (A)",
        description="The car never gets more than this per phase.",
    )
    start_delay_s: int = Field(
        default=60,
        ge=0,
        le=3600,
        title="Start delay (s)",
        description=(
            "A charge starts when the sun has carried the lowest current for so long; when it "
            "barely pays, later."
        ),
    )
    stop_delay_s: int = Field(
        default=120,
        ge=0,
        le=7200,
        title="Stop delay (s)",
        description=(
            "A charge without any sun goes on at the lowest current for so long; with some sun, "
            "longer."
        ),
    )
    start_interval_s: int = Field(
        default=300,
        ge=0,
        le=14_400,
        title="Shortest time between starts (s)",
        description="A charge that was paused is not started again sooner than this.",
    )
    phase_interval_s: int = Field(
        default=300,
        ge=60,
        le=14_400,
        title="Shortest time between phase changes (s)",
        description="Each change interrupts the charge for up to two minutes.",
    )
    export_margin_w: int | None = Field(
        default=None,
        ge=-5000,
        le=5000,
        title="Export margin (W)",
        description=(
            "Keep exporting this much; 0: never import for the car; negative: tolerate that much "
            "import. Empty: the prices decide how much of a step may come from the grid."
        ),
    )
    import_eur_kwh: float = Field(
        default=0.30,
        ge=-1,
        le=5,
        title="Price of imported energy (EUR/kWh)",
        description="What a kilowatt-hour from the grid costs by day.",
    )
    export_eur_kwh: float = Field(
        default=0.08,
        ge=-1,
        le=5,
        title="Price of exported energy (EUR/kWh)",
        description="What a kilowatt-hour to the grid earns.",
    )
    night_eur_kwh: float = Field(
        default=0.20,
        ge=-1,
        le=5,
        title="Price of charging at night (EUR/kWh)",
        description="What the car's energy costs when it is not charged on sun.",
    )
    battery_first_until_pct: float = Field(
        default=0,
        ge=0,
        le=100,
        title="Battery first until (%)",
        description="Below this state of charge the house battery comes first; 0: the car first.",
    )
    battery_reserve_w: int = Field(
        default=5000,
        ge=0,
        le=30_000,
        title="Reserved for the battery (W)",
        description=(
            "While the battery comes first, this much of the surplus is left to it; give the "
            "power that it can take."
        ),
    )
    battery_support_w: int = Field(
        default=0,
        ge=0,
        le=30_000,
        title="Support by the battery (W)",
        description="The battery may add this much to the surplus for the car; 0: never.",
    )
    battery_support_from_pct: float = Field(
        default=100,
        ge=0,
        le=100,
        title="Support starts at (%)",
        description="State of charge from which the battery may support the car.",
    )
    battery_support_span_pct: float = Field(
        default=5,
        ge=0,
        le=100,
        title="Support ends lower by (%)",
        description="The battery goes on supporting the car until it has lost so many per cent.",
    )
    main_fuse_a: int = Field(
        default=25,
        ge=10,
        le=200,
        title="Main fuse (A)",
        description="Rating of the house's main fuse per phase.",
    )
    fuse_margin_a: int = Field(
        default=2,
        ge=0,
        le=20,
        title="Margin to the main fuse (A)",
        description="The import per phase is kept this far below the main fuse.",
    )

    @property
    def grid_weight(self) -> float | None:
        """What a kilowatt-hour from the grid costs, in kilowatt-hours of sun that bring as much.

        None where the car shall have no energy from the grid: an export margin is set, or the
        sun is worth more elsewhere.
        """
        gain_eur = self.night_eur_kwh - self.export_eur_kwh
        if self.export_margin_w is not None or gain_eur <= 0:
            return None
        return max(0.0, self.import_eur_kwh - self.night_eur_kwh) / gain_eur
