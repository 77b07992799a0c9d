"""The time zone of this machine, from what Linux and containers leave of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from easee_load_balancer.system.time_zone import system_time_zone

CASES: dict[str, tuple[dict[str, str], str | None, str | None, str]] = {
    "variable of a container": (
        {"TZ": "Europe/Berlin"},
        *("../usr/share/zoneinfo/Europe/Oslo", None, "Europe/Berlin"),
    ),
    "link": ({}, "/usr/share/zoneinfo/Europe/Oslo", "Europe/Paris\n", "Europe/Oslo"),
    "file": ({"TZ": ":/etc/localtime"}, None, "Europe/Paris\n", "Europe/Paris"),
    "nothing known": ({"TZ": "MEZ-1MESZ"}, "/usr/share/lost", None, "UTC"),
    "nothing": ({}, None, None, "UTC"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_time_zone_is_found(name: str, tmp_path: Path) -> None:
    environment, link, file, zone = CASES[name]
    if link is not None:
        (tmp_path / "localtime").symlink_to(link)
    if file is not None:
        (tmp_path / "timezone").write_text(file)
    assert system_time_zone(environment, tmp_path) == zone
