"""What several chargers are sent in a cycle, in which order, and what to record before. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.several.controller import Together


@dataclass(frozen=True, slots=True)
class SendingOrder:
    """Ceilings first, then what lowers a current, then what raises one.

    A circuit gets no more commands in a cycle than it has chargers: with its ceiling due, raises
    wait for the next cycle.
    """

    ceilings: Mapping[int, int]
    """Currents in A by circuit."""
    lowers: tuple[int, ...]
    """Indexes of chargers."""
    raises: tuple[int, ...]

    @classmethod
    def of(cls, together: Together, circuits: Sequence[int]) -> SendingOrder:
        """What is due of these decisions; `circuits`: that of each charger."""
        decisions = list(enumerate(together.decisions))
        due = [k for k, one in decisions if one.push and one.setpoint is not None]
        lowers = [k for k in due if _lowers(together.decisions[k])]
        raised = {circuit for k, circuit in enumerate(circuits) if k not in lowers}
        ceilings = {at: amps for at, amps in together.ceilings.items() if at in raised}
        raises = [k for k in due if k not in lowers and circuits[k] not in ceilings]
        return cls(ceilings, tuple(lowers), tuple(raises))

    def record(self, ids: Sequence[str], decisions: Sequence[Decision], now: datetime) -> str:
        """What `pending_by_id` reads again; empty if nothing is to be sent."""
        if not (self.ceilings or self.lowers or self.raises):
            return ""
        sent = (*self.lowers, *self.raises)
        return json.dumps({ids[k]: decisions[k].pending_record(now) for k in sent})


def pending_by_id(record: str) -> Mapping[str, str]:
    """The commands that a killed cycle was sending, by the charger's id."""
    with suppress(ValueError):
        found = json.loads(record)
        if isinstance(found, dict):
            return {key: value for key, value in found.items() if isinstance(value, str)}
    return {}


def _lowers(decision: Decision) -> bool:
    before, after = decision.state.setpoint, decision.setpoint
    return before is not None and after is not None and after.power_w(1) < before.power_w(1)
