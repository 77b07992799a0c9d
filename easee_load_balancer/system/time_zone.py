"""The time zone of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.periods import time_zone_called


def system_time_zone(
    environment: Mapping[str, str] = os.environ, folder: Path = Path("/etc")
) -> str:
    """The IANA name of the time zone of this machine; UTC if it has none.

    As `TZ`, the link `localtime` or the file `timezone` of the folder says: tzset(3), localtime(5).
    """
    for name in _candidates(environment, folder):
        with suppress(ConfigurationError):
            return time_zone_called(name).key
    return "UTC"


def _candidates(environment: Mapping[str, str], folder: Path) -> Iterator[str]:
    yield environment.get("TZ", "").removeprefix(":")
    with suppress(OSError):
        yield str((folder / "localtime").readlink()).rpartition("zoneinfo/")[2]
    with suppress(OSError):
        yield (folder / "timezone").read_text().strip()
