"""All faults of the campaign, with the expected message of the run, and how to inject them."""

from __future__ import annotations

import inspect
import re
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

from prefect.client.schemas.objects import State

from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.system.settings import Settings
from tests.faults.scene import BUSY_A, CALM_A, DARK, FAINT, Scene, is_good, set_read_only
from tests.faults.table import Row
from tests.support.disk import fill
from tests.support.site import SITE

Moment = Literal["before the read", "read to push", "in the push", "after the push", "between"]
MOMENTS: tuple[Moment, ...] = (
    "before the read",
    "read to push",
    "in the push",
    "after the push",
    "between",
)
_IN_THE_HOUSE: dict[Moment, Any] = {
    "read to push": "read",
    "in the push": "taken",
    "after the push": "pushed",
}
NIGHT_A = 7.4
"""Without PV it leaves 14 A for the car."""
Act = Callable[[Scene], Awaitable[Any] | None]


def nothing(scene: Scene) -> None:
    """For faults that end on their own."""


def switch(**faults: Any) -> Act:
    """Switch on faults of the house."""

    def act(scene: Scene) -> None:
        for name, value in faults.items():
            setattr(scene.faults, name, value)

    return act


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, how it starts and ends, and the message of the first affected run."""

    name: str
    begin: Act
    says: str
    """A pattern for the message."""
    fails: bool = True
    """Whether the affected run ends as Failed."""
    end: Act = Scene.clear_faults
    moments: tuple[Moment, ...] = MOMENTS
    recovers_s: int = 60
    """Time allowed for recovery after its end, one spare cycle included."""
    needs_small_disk: bool = False
    slow: bool = False
    """Takes real seconds: only in the long form."""
    spares_open: bool = False
    """Open connections survive, so the run may succeed."""


def jump(seconds: int) -> Act:
    """Set the clock."""
    return lambda scene: scene.step_clock(seconds)


async def night(scene: Scene) -> None:
    """Darkness falls, the load ends, and the inverter goes to sleep."""
    scene.load(NIGHT_A)
    scene.home.house.plant.day = DARK
    await scene.next_cycle()
    scene.pass_time(660)


def day(scene: Scene) -> None:
    """Sun and load return."""
    scene.home.house.plant.day = FAINT
    scene.load(BUSY_A)
    scene.pass_time(10)


def go_silent(scene: Scene) -> None:
    """The charger reports nothing for 21 minutes."""
    scene.faults.observations_stopped = True
    scene.pass_time(21 * 60)


def lock_history(scene: Scene) -> None:
    """Another process holds a write transaction."""
    path = Settings().folder / "history.db"
    scene.locking = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    scene.locking.execute("BEGIN IMMEDIATE")


def unlock_history(scene: Scene) -> None:
    if scene.locking is not None:
        scene.locking.close()


def wrong_name(**changes: Any) -> Act:
    """Save blocks with an unknown host name; without changes, the right ones."""

    async def act(scene: Scene) -> None:
        await scene.home.save(**changes)
        await Site.load(SITE)

    return act


right_names = wrong_name()


def fill_disk(scene: Scene) -> None:
    """Fill the disk, and empty SQLite's write-ahead log, which it would reuse."""
    with closing(sqlite3.connect(Settings().folder / "history.db")) as history:
        history.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    fill(scene.data_folder)


def free_disk(scene: Scene) -> None:
    (scene.data_folder / "ballast").unlink(missing_ok=True)


def make_read_only(scene: Scene) -> None:
    set_read_only(scene.data_folder, True)


def make_writable(scene: Scene) -> None:
    set_read_only(scene.data_folder, False)


_REFUSAL: tuple[Moment, ...] = ("before the read", "read to push", "after the push", "between")
"""A refusal replaces the command; it cannot follow a command that took effect."""
_COMMAND: tuple[Moment, ...] = ("before the read", "read to push", "between")
"""After the push there is no second command to refuse."""
_EDGES: tuple[Moment, ...] = ("before the read", "between")

FAULTS: tuple[Fault, ...] = (
    Fault(
        "inverter refuses", switch(modbus="refuse"), "Cannot connect to the inverter",
        spares_open=True,
    ),
    Fault("inverter accepts, is silent", switch(modbus="silent"), "No answer from the inverter"),
    Fault("inverter resets", switch(modbus="reset"), "closed the connection"),
    Fault("inverter is busy", switch(modbus="busy"), "is busy"),
    Fault("inverter answers late", switch(modbus="delay"), "No answer from the inverter"),
    Fault("inverter: wrong length", switch(modbus="short"), "registers instead of"),
    Fault("inverter: implausible", switch(modbus="implausible"), "cannot be"),
    Fault("inverter: no Modbus", switch(modbus="garbage"), "No answer from the inverter"),
    Fault(
        "a second client", switch(modbus="rival"), "serves one client|No answer|was lost",
        spares_open=True,
    ),
    Fault("inverter: another function", switch(modbus="function"), "answered function 4"),
    *(
        Fault(f"meter {kind}", switch(meter=kind), "unknown for 0 s: meter: ", fails=False)
        for kind in ("offline", "zeros", "dead_phase")
    ),
    Fault(
        "meter alternating", switch(meter="alternating"), "unknown for|main fuse", fails=False,
        recovers_s=180,
    ),
    Fault("meter frozen", switch(meter="frozen"), "surplus", fails=False),
    Fault(
        "night", night, "meter unknown: half of the main fuse", fails=False, end=day,
        moments=("before the read",),
    ),
    Fault("cloud 400", switch(api_status=400), "answers 400", moments=_REFUSAL),
    Fault(
        "cloud 401", switch(api_status=401), "answers 401", moments=_REFUSAL, recovers_s=300,
    ),
    Fault(
        "cloud 403", switch(api_status=403), "blocks this account|role of this login",
        moments=_REFUSAL,
        recovers_s=660,
    ),
    Fault(
        "cloud: command 403", switch(api_command_status=403), "role of this login",
        moments=_COMMAND, recovers_s=120,
    ),
    Fault(
        "cloud: command 400, charger disconnected", switch(api_command_status=400),
        "no connection to the charger", moments=_COMMAND,
    ),
    Fault(
        "charger's clock a day ahead", switch(charger_clock_ahead_s=86_400),
        "charger \\(offline\\)", fails=False,
    ),
    Fault(
        "cloud 429, Retry-After 120", switch(api_status=429, api_retry_after_s=120),
        "rate-limited", moments=_REFUSAL, recovers_s=180,
    ),
    Fault("cloud 500", switch(api_status=500), "answers 500"),
    Fault("cloud 503", switch(api_status=503), "answers 503"),
    Fault("cloud 504", switch(api_status=504), "answers 504"),
    Fault("cloud slow", switch(api_delay_s=30.0), "did not answer in time", slow=True),
    Fault("cloud cut in mid-body", switch(api_body="cut"), "cannot be reached"),
    Fault("cloud: half a JSON", switch(api_body="truncated"), "unexpected answer"),
    Fault("cloud: HTML", switch(api_body="html"), "unexpected answer"),
    Fault("cloud: null fields", switch(api_body="nulls"), "charger \\(offline\\)", fails=False),
    Fault("cloud: new fields", switch(api_body="new fields"), "main fuse", fails=False),
    Fault(
        "cloud: accepted, never done", switch(commands_ignored=True), "main fuse|resending",
        fails=False, recovers_s=120,
    ),
    Fault(
        "charger silent for 21 min", go_silent, "charger \\(offline\\)", fails=False,
        moments=("before the read",), recovers_s=90,
    ),
    Fault(
        "DNS fails, cloud", wrong_name(base_url="https://easee.invalid"), "cannot be reached",
        end=right_names, moments=_EDGES,
    ),
    Fault(
        "DNS fails, inverter", wrong_name(host="sun2000.invalid"), "Cannot connect",
        end=right_names, moments=_EDGES,
    ),
    Fault("clock an hour forward", jump(3600), "main fuse|unknown", fails=False, end=nothing),
    Fault("clock an hour back", jump(-3600), "main fuse|unknown", fails=False, end=nothing),
    Fault(
        "history locked", lock_history, "could not be written .*locked.* kept", end=unlock_history,
        slow=True,
    ),
    Fault(
        "disk full", fill_disk, "could not be written .*full.* kept", end=free_disk,
        needs_small_disk=True,
    ),
    Fault(
        "disk read-only", make_read_only, "could not be (read|written|opened)", end=make_writable,
        needs_small_disk=True, moments=_EDGES,  # within a cycle its lock is open: no remount
    ),
)  # fmt: skip


async def act(scene: Scene, how: Act) -> None:
    """Start or end a fault."""
    done = how(scene)
    if inspect.isawaitable(done):
        await done


async def try_out(scene: Scene, fault: Fault, moment: Moment) -> Row:
    """Inject the fault in a cycle that has to lower the current from 14 to 12 A."""
    scene.load(CALM_A)
    scene.rows += 1
    if scene.rows % _ROWS_AN_HOUR == 0:
        scene.pass_time(3600)
    for _ in range(_CALM_AFTER_CYCLES):
        await scene.next_cycle()
        if scene.held_a == 14:
            break
        scene.pass_time(60)
    row = Row(fault.name, moment, before_a=scene.held_a)
    over_fuse_s, scene.highest_a = scene.over_fuse_s, scene.held_a
    scene.load(BUSY_A)
    scene.pass_time(INTERVAL_BEFORE_S)
    runs = await _meet(scene, fault, moment)
    met = next((run for run in runs if not is_good(run)), runs[0])
    row.state, row.message = met.name or "", met.message or ""
    row.recovered_s = await _recover(scene, fault)
    row.after_a, row.highest_a = scene.held_a, scene.highest_a
    lost = scene.lost()
    row.lost = f"{lost} cycles" if lost else "nothing"
    if moment == "between":
        row.check(met.is_completed(), "a past fault made a run fail")
    elif not (fault.spares_open and met.is_completed()):
        row.check(met.is_failed() == fault.fails, "unexpected state of the run")
        row.check(bool(re.search(fault.says, row.message)), f"it does not say {fault.says!r}")
    row.check("\n" not in row.message, "the message is not one line")
    row.check(row.recovered_s is not None, "no recovery in time")
    row.check(row.highest_a <= 14, "more current than before")
    row.check(scene.over_fuse_s == over_fuse_s, "above the main fuse")
    row.check(row.after_a == 12, "not the current that the fuse allows")
    row.check(not lost, "cycles are not in the history")
    return row


INTERVAL_BEFORE_S = 20
_ROWS_AN_HOUR = 4
"""More would use up the changes that the control law makes in an hour."""
_CALM_AFTER_CYCLES = 12
"""A minute each: the law waits ten before it raises what it has lowered twice."""


async def _meet(scene: Scene, fault: Fault, moment: Moment) -> list[State[Any]]:
    """Runs from the start of the fault to its end."""
    if moment == "before the read":
        await act(scene, fault.begin)
        await scene.settle()
        runs = [await scene.cycle()]
        await act(scene, fault.end)
    elif moment == "between":
        runs = [await scene.cycle()]
        await act(scene, fault.begin)
        scene.pass_time(10)
        await scene.settle()
        await act(scene, fault.end)
        await scene.settle()
        runs = [await scene.next_cycle(20)]
    else:
        scene.home.house.triggers.on(_IN_THE_HOUSE[moment], lambda: _now(fault.begin(scene)))
        runs = [await scene.cycle(), await scene.next_cycle()]
        await act(scene, fault.end)
    await scene.settle()
    scene.home.house.triggers.clear()
    return runs


def _now(started: Awaitable[Any] | None) -> None:
    if started is not None:
        raise TypeError("this fault cannot start within a cycle")


async def _recover(scene: Scene, fault: Fault) -> float | None:
    """Seconds until a good cycle has set the right current, by the house's clock."""
    for waited_s in range(30, fault.recovers_s + 1, 30):
        good = is_good(await scene.next_cycle(20))
        scene.pass_time(10)
        if good and scene.held_a == 12:
            return waited_s
    return None
