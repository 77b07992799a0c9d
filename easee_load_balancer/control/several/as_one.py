"""All chargers of a home as one, for its own row in the history and the name of the run. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from easee_load_balancer.control.decision import Decision
from easee_load_balancer.measurements import BatteryHold, ChargerMode, ChargerState


def decision_as_one(
    names: Sequence[str], decisions: Sequence[Decision], surplus_w: float | None
) -> Decision:
    """The first charger's decision with the reasons of all."""
    named = list(zip(names, decisions, strict=True))
    notes = [f"{name}: {each.attention}" for name, each in named if each.attention]
    return replace(
        decisions[0],
        push=any(one.push for one in decisions),
        reason=" | ".join(f"{name} {each.reason}" for name, each in named),
        surplus_w=surplus_w,
        attention="; ".join(notes) or None,
    )


def holding(decisions: Sequence[Decision]) -> Decision:
    """The decision that wants the battery held, if any does."""
    held = (one for one in decisions if one.state.hold is not BatteryHold.FREE)
    return next(held, decisions[0])


def chargers_as_one(read: Sequence[ChargerState]) -> ChargerState:
    """The power of all cars; charging where any of them charges."""
    powers = [one.car_w for one in read]
    known = [watts for watts in powers if watts is not None]
    shown = next((one for one in read if one.mode is ChargerMode.CHARGING), read[0])
    return replace(
        shown,
        car_w=sum(known) if len(known) == len(powers) else None,
        output_phases=max((one.output_phases or 0 for one in read), default=0),
        session_kwh=None,
    )
