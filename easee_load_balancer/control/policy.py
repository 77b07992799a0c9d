"""What the owner wants from the control law."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from easee_load_balancer.measurements import MIN_CURRENT_A

_PhaseChoice = Annotated[Literal["auto", "1", "3"], BeforeValidator(str)]
"""Text only, which the form shows as a list; the first blocks were saved with numbers."""


class Policy(BaseModel):
    """What the owner wants. The defaults suit a house without a battery."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["off", "solar", "solar+minimum", "fast"] = Field(
        default="solar",
        title="Mode",
        description=(
            "off: the charger is left alone. solar: charge from surplus PV. solar+minimum: like "
            "solar, but never below the minimum current while a car wants to charge. fast: as "
            "much as the limits and the main fuse allow."
        ),
    )
    phases: _PhaseChoice = Field(
        default="auto",
        title="Phases",
        description="auto: one phase while the surplus is small, three when it is large.",
    )
    min_current_a: int = Field(
        default=6,
        ge=MIN_CURRENT_A,
        le=10,
        title="Minimum current (A)",
        description="Charging pauses below this; no car can charge with less than 6 A.",
    )
    max_current_a: int = Field(
        default=16,
        ge=10,  # the highest minimum: so the form itself refuses a crossed pair
        le=32,
        title="Maximum current (A)",
        description="The car never gets more than this per phase.",
    )
    max_power_w: Annotated[int | None, Field(ge=0, le=100_000)] = Field(
        default=None,
        title="Highest power (W)",
        description="The car never gets more than this on all phases together. Empty: no limit.",
    )
    start_threshold_s: int = Field(
        default=60,
        ge=0,
        le=3600,
        title="Start threshold (s at minimum current)",
        description=(
            "Charging starts once the missed surplus equals this long at minimum current: sooner "
            "with plenty of surplus, later when it barely covers the minimum."
        ),
    )
    stop_threshold_s: int = Field(
        default=120,
        ge=0,
        le=7200,
        title="Stop threshold (s without surplus)",
        description=(
            "Without surplus, charging continues at minimum current this long before pausing; "
            "with some surplus, longer."
        ),
    )
    start_interval_s: int = Field(
        default=300,
        ge=0,
        le=14_400,
        title="Minimum time between starts (s)",
        description="After a pause, charging does not start again sooner than this.",
    )
    phase_interval_s: int = Field(
        default=300,
        ge=60,
        le=14_400,
        title="Minimum time between phase changes (s)",
        description="Each change interrupts charging for up to two minutes.",
    )
    export_margin_w: int | None = Field(
        default=None,
        ge=-5000,
        le=5000,
        title="Export margin (W)",
        description=(
            "Keep exporting this much. 0: never import for the car. Negative: tolerate this much "
            "import. Empty: the prices in the block Tariff decide how much of a current step may "
            "come from the grid."
        ),
    )
    meter_nets_phases: bool = Field(
        default=True,
        title="Meter nets the phases",
        description=(
            "On: export on one phase offsets import on another, as most meters count. Off: each "
            "phase counts for itself, so a one-phase car gets only the surplus of its phase."
        ),
    )
    export_limit_w: int | None = Field(
        default=None,
        ge=0,
        le=100_000,
        title="Export limit (W)",
        description=(
            "The inverter throttles its PV to export no more than this; 0: zero export. The car "
            "is then offered more, step by step, as long as nothing is imported. Empty: as set "
            "in the inverter."
        ),
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
            "While the battery comes first, this much of the surplus is left to it. Enter its "
            "maximum charging power."
        ),
    )
    battery_night_kwh: float = Field(
        default=0,
        ge=0,
        le=1000,
        title="Battery first for the night (kWh)",
        description=(
            "Enter the usable capacity of the house battery. It then comes first until it holds "
            "what the house is likely to use until the next morning, if that saves more than "
            "charging the car at night, at your prices and judging by the last weeks. 0: off."
        ),
    )
    battery_lends_kwh: float = Field(
        default=0.5,
        ge=0,
        le=20,
        title="Battery lends (kWh a day)",
        description=(
            "The car may take this much a day from the battery to bridge clouds and to fill a "
            "step of current; 0: only what it takes before the next cycle notices."
        ),
    )
    battery_support_w: int = Field(
        default=0,
        ge=0,
        le=30_000,
        title="Battery assist (W)",
        description=(
            "The battery may add this much to the surplus for the car; 0: never. In the modes fast "
            "and solar+minimum and during a boost it gives more by itself, unless it is held."
        ),
    )
    battery_support_from_pct: float = Field(
        default=100,
        ge=0,
        le=100,
        title="Battery assist starts at (%)",
        description=(
            "State of charge from which the battery may assist the car; 100: when full, 0: always."
        ),
    )
    battery_support_hysteresis_pct: float = Field(
        default=5,
        ge=0,
        le=100,
        title="Battery assist hysteresis (%)",
        description="Stop assisting when the state of charge drops this far below the start.",
    )
    hold_battery: bool = Field(
        default=False,
        title="Hold the battery while the car charges from the grid",
        description=(
            "In the modes fast and solar+minimum and during a boost, keep the battery from "
            "discharging while the car draws more than the surplus; the house then draws from the "
            "grid too. This writes to the inverter: first read 'Keep the battery out of the car' "
            "in the README."
        ),
    )
    charge_off_grid: bool = Field(
        default=False,
        title="Charge without grid",
        description="Let the car charge from the battery during a grid outage.",
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
        title="Main fuse margin (A)",
        description="The import per phase is kept this far below the main fuse.",
    )

    @property
    def phase_counts(self) -> tuple[Literal[1, 3], ...]:
        """The numbers of phases that the car may be charged on, fewest first."""
        if self.phases == "auto":
            return (1, 3)
        return (1,) if self.phases == "1" else (3,)
