"""The short form of the fault campaign; `make faults` runs all of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from easee_load_balancer.history import database
from tests.faults.cases import FAULTS, Moment, try_out
from tests.faults.scene import a_scene
from tests.faults.stories import STORIES, play
from tests.faults.table import markdown
from tests.support.disk import small_disk

UNDER_PREFECT: dict[str, Moment] = {
    "inverter resets": "before the read",
    "cloud 504": "in the push",
    "clock an hour back": "after the push",
}
ALONE: dict[str, tuple[Moment, ...]] = {
    "inverter is busy": ("before the read",),
    "inverter: wrong length": ("before the read",),
    "inverter: no Modbus": ("before the read",),
    "a second client": ("before the read",),
    "meter offline": ("read to push",),
    "meter dead_phase": ("before the read",),
    "meter alternating": ("before the read",),
    "cloud: command 403": ("read to push",),
    "charger's clock a day ahead": ("before the read",),
    "cloud 429, Retry-After 120": ("read to push",),
    "cloud 500": ("before the read",),
    "cloud 503": ("before the read", "read to push"),
    "cloud cut in mid-body": ("in the push",),
    "cloud: HTML": ("read to push",),
    "cloud: null fields": ("before the read",),
    "cloud: new fields": ("before the read",),
    "cloud: accepted, never done": ("before the read",),
    "DNS fails, cloud": ("before the read",),
    "clock an hour forward": ("read to push", "between"),
    "clock an hour back": ("before the read", "in the push"),
    "history locked": ("before the read",),
}


async def test_cycles_recover_from_faults_under_prefect(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        by_name = {fault.name: fault for fault in FAULTS}
        rows = [await try_out(scene, by_name[name], at) for name, at in UNDER_PREFECT.items()]
    assert not [row for row in rows if row.wrong], f"\n{markdown(rows)}"


async def test_cycles_recover_from_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_SQLITE_BUSY_S", 0.2)
    rows = []
    async with a_scene(tmp_path, with_prefect=False) as scene:
        for fault in FAULTS:
            for moment in ALONE.get(fault.name, ()):
                rows.append(await try_out(scene, fault, moment))
    assert len(rows) == sum(map(len, ALONE.values()))
    assert not [row for row in rows if row.wrong], f"\n{markdown(rows)}"


async def test_cycles_recover_from_disk_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "disk"
    monkeypatch.setenv("EASEE_BALANCER_DATA_FOLDER", str(folder))
    rows = []
    try:
        with small_disk(folder):
            async with a_scene(folder, with_prefect=False) as scene:
                for fault in FAULTS:
                    if fault.needs_small_disk:
                        rows += [await try_out(scene, fault, at) for at in fault.moments[::3]]
    except PermissionError as error:
        pytest.skip(str(error))
    assert not [row for row in rows if row.wrong], f"\n{markdown(rows)}"


async def test_scenarios_over_several_cycles(tmp_path: Path) -> None:
    new_scene = partial(a_scene, tmp_path, with_prefect=False)
    rows = [row async for row in play(STORIES, new_scene)]
    assert len(rows) == len(STORIES)
    assert not [row for row in rows if row.wrong], f"\n{markdown(rows)}"
