"""The settings of a charger and of a circuit that a client may write.

All but the dynamic currents and `enabled` would wear the charger's flash memory.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from easee_load_balancer.simulation.easee.commands import SET_DYNAMIC_CHARGER_CURRENT, Amperes
from easee_load_balancer.simulation.plant.charger import Charger
from easee_load_balancer.simulation.plant.grid import PerPhase

_SET_ENABLED, _SET_PHASE_MODE, _SET_MAX_CURRENT, _SET_SMART_CHARGING = 31, 38, 47, 102


class ChargerSettings(BaseModel):
    """The body of a charger's settings; missing ones stay as they are."""

    model_config = ConfigDict(strict=True, alias_generator=to_camel)

    enabled: bool | None = None
    smart_charging: bool | None = None
    phase_mode: Literal[1, 2, 3] | None = None
    max_charger_current: Amperes | None = None
    dynamic_charger_current: Amperes | None = None


class CircuitSettings(BaseModel):
    """The body of a circuit's settings, in A per phase; missing ones stay as they are."""

    model_config = ConfigDict(strict=True, alias_generator=to_camel)

    dynamic_circuit_current_p1: Amperes | None = None
    dynamic_circuit_current_p2: Amperes | None = None
    dynamic_circuit_current_p3: Amperes | None = None
    max_circuit_current_p1: Amperes | None = None
    max_circuit_current_p2: Amperes | None = None
    max_circuit_current_p3: Amperes | None = None
    offline_max_circuit_current_p1: Amperes | None = None
    offline_max_circuit_current_p2: Amperes | None = None
    offline_max_circuit_current_p3: Amperes | None = None

    @property
    def changes_dynamic_current(self) -> bool:
        """Whether any dynamic current is given."""
        return any(name.startswith("dynamic") for name in self.model_fields_set)

    def merged(self, name: str, present: PerPhase) -> PerPhase:
        """The currents of that name, with the present ones where none is given."""
        given = (getattr(self, f"{name}_p{phase}") for phase in (1, 2, 3))
        l1, l2, l3 = (
            before if amps is None else amps for before, amps in zip(present, given, strict=True)
        )
        return l1, l2, l3


def change_charger(charger: Charger, clock_s: int, wanted: ChargerSettings) -> list[int]:
    """Change what differs; returns the commands that were sent to the charger for it."""
    spec, sent = charger.spec, []
    if wanted.enabled not in (None, charger.enabled):
        charger.enabled = bool(wanted.enabled)
        sent.append(_SET_ENABLED)
    if wanted.smart_charging not in (None, charger.smart_charging):
        charger.smart_charging = bool(wanted.smart_charging)
        sent.append(_SET_SMART_CHARGING)
    if wanted.phase_mode is not None and wanted.phase_mode != spec.phase_mode:
        charger.spec = replace(charger.spec, phase_mode=wanted.phase_mode)
        sent.append(_SET_PHASE_MODE)
    if wanted.max_charger_current not in (None, spec.max_current_a):
        charger.spec = replace(charger.spec, max_current_a=float(wanted.max_charger_current or 0))
        sent.append(_SET_MAX_CURRENT)
    if wanted.dynamic_charger_current not in (None, charger.dynamic_charger_current_a):
        charger.command_charger(clock_s, wanted.dynamic_charger_current or 0.0, None)
        sent.append(SET_DYNAMIC_CHARGER_CURRENT)
    return sent


def change_circuit(charger: Charger, clock_s: int, wanted: CircuitSettings) -> None:
    """Change the limits of its circuit at one charger."""
    if wanted.changes_dynamic_current:
        present = charger.dynamic_circuit_current_a
        charger.command_circuit(clock_s, wanted.merged("dynamic_circuit_current", present), None)
    charger.circuit_max_current_a = wanted.merged(
        "max_circuit_current", charger.circuit_max_current_a
    )
    offline = wanted.merged("offline_max_circuit_current", charger.spec.offline_max_current_a)
    charger.spec = replace(charger.spec, offline_max_current_a=offline)
