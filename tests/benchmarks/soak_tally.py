"""Results of a soak test, and their table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from easee_load_balancer.history.store import open_history
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.simulation.server import SimulatedHouse
from easee_load_balancer.system.settings import Settings

MIDNIGHT = datetime(2026, 6, 21, tzinfo=UTC)
OURS, STEP, BLIND, CUT_OFF, BLOCKED = (
    *("caused by us", "load step", "meter not read", "charger unreachable", "blocked by the cloud"),
)
"""Why a line is above the main fuse."""


@dataclass(slots=True)
class Stretch:
    """Seconds in a row above the main fuse for one reason."""

    began_s: int
    kind: str
    faults: str
    seconds: int = 0


@dataclass(slots=True)
class Tally:
    """Results of a soak test."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    due: list[datetime] = field(default_factory=list)
    """Due times of the cycles that ran."""
    lost: int = 0
    """Cycles missing in the history."""
    crashes: list[str] = field(default_factory=list)
    over: list[Stretch] = field(default_factory=list)
    """Overloads."""
    minutes_over: int = 0
    """Minutes with a phase's mean current above the main fuse."""
    highest_a: float = 0.0
    """Highest grid current on a phase."""
    longest_recovery: int = 0
    """Longest series of failed cycles without a fault."""
    calls_a_minute: Counter[int] = field(default_factory=Counter)
    """Calls for observations by simulated minute."""
    hourly: list[tuple[float, int, int]] = field(default_factory=list)
    """Memory in MB, file handles and threads."""

    @property
    def ours_s(self) -> int:
        """Seconds above the main fuse that the controller caused."""
        return sum(one.seconds for one in self.over if one.kind == OURS)


def rows(
    tally: Tally, house: SimulatedHouse, hours: float, took_s: float
) -> Iterator[tuple[str, str]]:
    """The result as a table."""
    history = open_history(Settings().database_url)
    end = MIDNIGHT + timedelta(hours=hours + 1)
    stored = history.cycles(Site.DEFAULT, MIDNIGHT, end, ("scheduled_at", "at"))
    tally.lost = len(set(tally.due) - {at.to_pydatetime() for at in stored["scheduled_at"]})
    gaps = stored["at"].diff().dt.total_seconds().dropna()
    calls = history.cloud_calls(Site.DEFAULT, MIDNIGHT, end)
    counters, memory = house.plant.counters, tally.hourly
    yield "simulated hours", f"{hours:g}, in {took_s / 60:.1f} min"
    yield "cycles", f"{len(tally.due):,}"
    yield "ended as", ", ".join(f"{name} {n:,}" for name, n in tally.outcomes.most_common())
    yield "crashes", str(len(tally.crashes))
    yield "faults injected", f"{tally.faults.total()}, {len(tally.faults)} kinds"
    yield "also", ", ".join(f"{name} {n}" for name, n in tally.events.most_common())
    yield "lost rows", str(tally.lost)
    yield "longest gap between rows", f"{gaps.max():.0f} s"
    yield "longest series of failed cycles after a fault", str(tally.longest_recovery)
    yield "minutes above the main fuse", str(tally.minutes_over)
    fuse_a = house.plant.spec.main_fuse_a
    yield "highest current on a phase", f"{tally.highest_a:.1f} A, main fuse {fuse_a:g} A"
    for kind in (OURS, STEP, BLIND, CUT_OFF, BLOCKED):
        lengths = [one.seconds for one in tally.over if one.kind == kind] or [0]
        yield f"seconds above it, {kind}", f"{sum(lengths)}, longest {max(lengths)}"
    for name, index in (("memory, MB", 0), ("file handles", 1), ("threads", 2)):
        values = [one[index] for one in memory]
        marks = values[:: max(1, len(values) // 6)]
        yield f"{name}, over time", ", ".join(f"{value:.0f}" for value in [*marks, values[-1]])
    yield "calls to the cloud", ", ".join(f"{name} {n:,}" for name, n in calls.items())
    yield "calls counted by the simulated cloud", f"{house.cloud.calls.total():,}"
    yield "most observation calls in a minute", str(max(tally.calls_a_minute.values()))
    yield (
        "car",
        f"{counters.car_kwh:.1f} kWh, {counters.car_from_grid_kwh:.1f} from the grid, "
        f"{house.plant.charger.starts} starts",
    )
