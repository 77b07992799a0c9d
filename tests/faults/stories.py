"""Scenarios over several cycles: time to live, main fuse, lost meter, other controllers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx

from easee_load_balancer.control.controller import RENEW_AFTER
from easee_load_balancer.control.state import TIME_TO_LIVE
from easee_load_balancer.simulation.plant.day import Day
from tests.faults.scene import BUSY_A, CALM_A, OFFLINE_A, Scene, is_good
from tests.faults.table import Row
from tests.support.simulated_house import CHARGER, CIRCUIT, log_in

TTL_S, RENEW_S = int(TIME_TO_LIVE.total_seconds()), int(RENEW_AFTER.total_seconds())
SUNNY = Day("sunny", pv_w=(9500.0,) * 1440, load_w=(500.0,) * 1440)
NewScene = Callable[..., AbstractAsyncContextManager[Scene]]


@dataclass(frozen=True, slots=True)
class Story:
    """A scenario over several cycles."""

    name: str
    play: Callable[[Scene, Row], Awaitable[None]]
    load_a: float = CALM_A
    from_a: float = 14
    """The circuit current at the start, with that load."""
    home: dict[str, Any] | None = None
    """Block fields and day, where they differ from the campaign's."""


async def play(stories: Iterable[Story], new_scene: NewScene) -> AsyncIterator[Row]:
    """Play all stories, grouped by the home they need."""
    by_home: dict[str, list[Story]] = {}
    for story in stories:
        by_home.setdefault(str(story.home), []).append(story)
    for group in by_home.values():
        async with new_scene(**(group[0].home or {})) as scene:
            for story in group:
                yield await _play(story, scene)


async def _play(story: Story, scene: Scene) -> Row:
    scene.load(story.load_a)
    for _ in range(20):
        await scene.next_cycle()
        scene.pass_time(10)
        if scene.held_a == story.from_a:
            break
    row = Row(story.name, "", before_a=scene.held_a)
    over_fuse_s, scene.highest_a = scene.over_fuse_s, scene.held_a
    await story.play(scene, row)
    row.after_a, row.highest_a = scene.held_a, scene.highest_a
    if "fuse" not in story.name:
        row.check(scene.over_fuse_s == over_fuse_s, "above the main fuse")
    lost = scene.lost()
    row.lost = f"{lost} cycles" if lost else "nothing"
    row.check(not lost, "cycles are not in the history")
    return row


async def says(scene: Scene, row: Row, pattern: str, current_a: float, **how: Any) -> None:
    """The next cycle reports the pattern; the charger has that current seconds later."""
    state = await scene.next_cycle(**how)
    row.state, row.message = state.name or "", state.message or ""
    row.check(bool(re.search(pattern, row.message)), f"{pattern!r} is not in {row.message!r}")
    scene.pass_time(5)
    row.check(scene.held_a == current_a, f"{scene.held_a} A instead of {current_a} A")


async def time_to_live_ends(scene: Scene, row: Row) -> None:
    """Without cycles the time to live ends; the next cycle resumes."""
    scene.load(BUSY_A)
    await scene.next_cycle()
    scene.load(CALM_A)
    await scene.next_cycle()
    scene.pass_time(TTL_S - 10)
    row.check(scene.held_a == 14, "the time to live ended too early")
    scene.pass_time(20)
    row.check(scene.held_a == OFFLINE_A, "the circuit did not fall back")
    state = await scene.next_cycle()
    row.state, row.message = state.name or "", state.message or ""
    row.recovered_s = 30 if is_good(state) else None
    scene.pass_time(5)
    row.check(scene.held_a == 14, "it does not resume by itself")


async def renewed(scene: Scene, row: Row) -> None:
    """Nothing changes for 40 minutes: one write renews the time to live in time."""
    writes = scene.home.writes
    for _ in range((RENEW_S + 900) // 120):
        state = await scene.next_cycle(120)
        row.check(scene.held_a == 14, "it ran out")
    row.state, row.message = state.name or "", state.message or ""
    row.recovered_s = 0
    row.check(scene.home.writes == writes + 1, f"{scene.home.writes - writes} writes")


async def overload(scene: Scene, row: Row) -> None:
    """20 A more on one phase while the car draws 16 A; cycles every 10 s."""
    for _ in range(3):
        await scene.next_cycle(10)
    row.before_a = scene.held_a
    row.check(scene.held_a == 16, "not at 16 A")
    before_s = scene.over_fuse_s
    scene.load(20)
    scene.pass_time(1)
    for _ in range(4):
        state = await scene.next_cycle(10)
        if not row.message and "main fuse" in (state.message or ""):
            row.state, row.message = state.name or "", state.message or ""
    row.recovered_s = scene.over_fuse_s - before_s
    row.check(0 < row.recovered_s < 25, f"above the fuse for {row.recovered_s} s")
    row.check(row.message != "", "the fuse is not named")


async def meter_lost(scene: Scene, row: Row) -> None:
    """Unchanged for a minute, then minimum current, paused after five; resumes by itself."""
    scene.faults.meter = "offline"
    await says(scene, row, "unknown for 0 s: meter: offline", row.before_a)
    await says(scene, row, "unknown for", 6, after_s=60)
    await says(scene, row, "unknown for 3", 0, after_s=250)
    scene.faults.meter = None
    for waited in range(1, 12):
        if is_good(await scene.next_cycle()) and scene.held_a > 6:
            row.recovered_s = 30 * waited
            break
    row.check(row.recovered_s is not None, "it does not resume by itself")


@asynccontextmanager
async def app(scene: Scene) -> AsyncIterator[httpx.AsyncClient]:
    """Another client of the same cloud."""
    async with httpx.AsyncClient(base_url=scene.home.house.api_url, verify=False) as client:
        await log_in(client)
        yield client


async def paused_in_app(scene: Scene, row: Row) -> None:
    async with app(scene) as owner:
        await owner.post(f"{CHARGER}/commands/pause_charging")
        writes = scene.home.writes
        await says(scene, row, "the Easee app or another controller allows 0 A", 0)
        await says(scene, row, "the Easee app or another controller allows 0 A", 0)
        row.check(scene.home.writes <= writes + 1, "it overrides the other controller")
        row.check(scene.home.house.plant.car_w == 0, "the car charges")
        await owner.post(f"{CHARGER}/commands/resume_charging")
    scene.pass_time(300)
    row.recovered_s = 30 if is_good(await scene.next_cycle()) else None
    scene.pass_time(5)
    row.check(scene.held_a > 0, "it does not resume")


async def limited_in_app(scene: Scene, row: Row) -> None:
    async with app(scene) as owner:
        path = f"{CHARGER}/commands/set_dynamic_charger_current"
        await owner.post(path, json={"amps": 8})
        await says(scene, row, "the Easee app or another controller allows 8 A", 8)
        await says(scene, row, "the Easee app or another controller allows 8 A", 8)
        await owner.post(path, json={"amps": 32})
    row.recovered_s = 30 if is_good(await scene.next_cycle()) else None
    scene.pass_time(5)
    row.check(scene.held_a == 14, "it does not resume")


async def scheduled_in_app(scene: Scene, row: Row) -> None:
    writes = scene.home.writes
    charger = scene.home.house.plant.charger
    charger.spec = replace(charger.spec, schedule=(0, 60))
    await says(scene, row, "charger waits for its own schedule", 14)
    row.check(scene.home.writes == writes, "it overrides the other controller")
    row.check(scene.home.house.plant.car_w == 0, "the car charges")
    charger.spec = replace(charger.spec, schedule=None)
    scene.pass_time(60)
    row.recovered_s = 30 if is_good(await scene.next_cycle()) else None


async def equalizer(scene: Scene, row: Row) -> None:
    writes = scene.home.writes
    scene.home.house.plant.charger.equalizer_a = 9.0
    for _ in range(3):
        await says(scene, row, "the Equalizer allows 9 A", 14, after_s=60)
    row.check(scene.home.writes == writes, "it overrides the other controller")
    scene.home.house.plant.charger.equalizer_a = None
    row.recovered_s = 30 if is_good(await scene.next_cycle()) else None


async def another_controller(scene: Scene, row: Row) -> None:
    """The circuit current is set to 8 A by another program, and later raised."""
    async with app(scene) as other:

        async def set_circuit(amps: float) -> None:
            await other.post(
                f"{CIRCUIT}/dynamicCurrent",
                json={"phase1": amps, "phase2": amps, "phase3": amps, "timeToLive": 0},
            )

        await set_circuit(8)
        writes = scene.home.writes
        limit = "another controller of the circuit allows 8 A"
        await says(scene, row, limit, 8)
        scene.load(BUSY_A)
        await says(scene, row, limit, 8)
        scene.load(CALM_A)
        await says(scene, row, limit, 8, after_s=120)
        row.check(scene.home.writes == writes, "it overrides the other controller")
        await set_circuit(32)
    for cycles in (1, 2, 3):  # the car's power is only known within the cloud's dead band
        good = is_good(await scene.next_cycle())
        scene.pass_time(5)
        if good and scene.held_a == 14:
            row.recovered_s = 30 * cycles
            break
    row.check(scene.held_a == 14, "it does not resume")


STORIES = (
    Story("no cycles for longer than the time to live", time_to_live_ends),
    Story("nothing changes for 40 min", renewed),
    Story("main fuse: 20 A more on L1", overload, load_a=0, from_a=16),
    Story("meter lost while charging on sun", meter_lost, load_a=0, from_a=13, home={
        "day": SUNNY, "mode": "solar", "start_threshold_s": 30, "start_interval_s": 0,
    }),
    Story("paused in the app", paused_in_app),
    Story("limited in the app", limited_in_app),
    Story("a schedule in the app", scheduled_in_app),
    Story("an Equalizer limits", equalizer),
    Story("another controller of the circuit", another_controller),
)  # fmt: skip
