"""The compose files of deployments/container/, and what their services are on this machine."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.paths import PROJECT

FOLDER = PROJECT / "deployments" / "container"


@dataclass(frozen=True, slots=True)
class Service:
    """A service of a compose file."""

    name: str
    command: tuple[str, ...]
    """Empty if the image's."""
    environment: Mapping[str, str]
    depends_on: Mapping[str, str]
    """The condition by service."""
    volumes: tuple[str, ...]

    def here(self, places: Mapping[str, str]) -> dict[str, str]:
        """Its environment, with what stands for these texts on this machine."""
        return {name: _replaced(value, places) for name, value in self.environment.items()}

    def python(self) -> tuple[str, ...]:
        """What follows `python -m` to run its command."""
        program, *rest = self.command
        return tuple(rest[1:]) if program == "python" else self.command

    def options(self, places: Mapping[str, str]) -> tuple[str, ...]:
        """What follows the program's name, with what stands for these texts on this machine."""
        return tuple(_replaced(one, places) for one in self.command[1:])


def _replaced(text: str, places: Mapping[str, str]) -> str:
    for there, here in places.items():
        text = text.replace(there, here)
    return text


def services(file: Path) -> dict[str, Service]:
    """The services of a compose file by name."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text())["services"]
    return {
        name: Service(
            name,
            tuple(shlex.split(one.get("command", ""))),
            one.get("environment", {}),
            {key: how["condition"] for key, how in one.get("depends_on", {}).items()},
            tuple(one.get("volumes", ())),
        )
        for name, one in found.items()
    }
