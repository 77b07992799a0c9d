"""What happened in a soak, and its table."""

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
HINDRANCES = ("nothing in the way", "meter unread", "charger out of reach")


@dataclass(slots=True)
class Tally:
    """What happened."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    due: list[datetime] = field(default_factory=list)
    """Cycles that ran, by when they were due."""
    lost: int = 0
    """Cycles of which the history has no row."""
    crashes: list[str] = field(default_factory=list)
    over: list[tuple[int, int, str, str]] = field(default_factory=list)
    """Times above the fuse: when they began, how many s, what was in the way, and all faults."""
    minutes_over: int = 0
    """Minutes in which the mean current of a phase was above the main fuse."""
    highest_a: float = 0.0
    """The highest current drawn from the grid on a phase."""
    longest_recovery: int = 0
    """Cycles that still failed after the last fault had ended."""
    calls_a_minute: Counter[int] = field(default_factory=Counter)
    """Calls for observations by simulated minute."""
    hourly: list[tuple[float, int, int]] = field(default_factory=list)
    """ControllerState in MB, file handles and threads."""


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
    yield "cycles that failed after faults had ended, at most", str(tally.longest_recovery)
    yield "minutes above the main fuse", str(tally.minutes_over)
    fuse_a = house.plant.spec.main_fuse_a
    yield "highest current on a phase", f"{tally.highest_a:.1f} A, main fuse {fuse_a:g} A"
    for kind in HINDRANCES:
        lengths = [length for _, length, what, _ in tally.over if what == kind] or [0]
        yield f"seconds above it, {kind}", f"{sum(lengths)}, at most {max(lengths)} on end"
    for name, index in (("memory, MB", 0), ("file handles", 1), ("threads", 2)):
        values = [one[index] for one in memory]
        marks = values[:: max(1, len(values) // 6)]
        yield f"{name}, over time", ", ".join(f"{value:.0f}" for value in [*marks, values[-1]])
    yield "calls to the cloud", ", ".join(f"{name} {n:,}" for name, n in calls.items())
    yield "calls in the house's own count", f"{house.cloud.calls.total():,}"
    yield "observations in a minute, at most", str(max(tally.calls_a_minute.values()))
    yield (
        "car",
        f"{counters.car_kwh:.1f} kWh, {counters.car_from_grid_kwh:.1f} of them from the grid, "
        f"{house.plant.charger.starts} starts",
    )
