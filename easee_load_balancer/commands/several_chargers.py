"""Setup's questions where the Easee account has several chargers at the home."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from easee_load_balancer.commands.prompts import Prompts
from easee_load_balancer.commands.setup_wizard import block_with
from easee_load_balancer.devices.easee.discovery import FoundCharger
from easee_load_balancer.orchestration.other_chargers import OtherCharger, OtherChargers

_LOWEST = 9


def beside(first: FoundCharger, found: Sequence[FoundCharger]) -> list[FoundCharger]:
    """The further chargers at the same home."""
    return [one for one in found if one.site.id == first.site.id and one.id != first.id]


def ask_others(
    prompts: Prompts,
    console: Console,
    first: FoundCharger,
    others: Sequence[FoundCharger],
    saved: OtherChargers | None,
    first_name: str | None = None,
) -> OtherChargers | None:
    """Ask which of them to balance too, and which comes first; as saved without a terminal.

    `first_name`: what the owner calls the first one; None takes its name from the Easee cloud.
    """
    if not prompts.interactive:
        return saved
    console.print(Text("This home has several chargers:"))
    for one in (first, *others):
        rated_a = one.circuit.rated_current
        circuit = f"circuit {one.circuit.id}" + (f", {rated_a:g} A" if rated_a else "")
        console.print(Text(f"  {one.name} ({one.id}), {circuit}"))
    console.print(Text("1 comes first; equal numbers share the surplus equally; 0 is left alone."))
    known = {one.charger_id: one for one in saved.chargers} if saved else {}
    before = saved.first_priority if saved else 1
    first_priority = _ask(prompts, first, lowest=1, suggested=before)
    names = {one.name for one in known.values()}
    first_name = first_name or _name(first, names)
    names.add(first_name)
    listed = []
    for one in others:
        own = known.get(one.id)
        suggested = own.priority if own else 0 if saved else 1
        if priority := _ask(prompts, one, lowest=0, suggested=suggested):
            listed.append(_with(own, one, priority, names))
            names.add(listed[-1].name)
    if not listed and saved is None:
        return None
    return block_with(
        OtherChargers,
        None,
        first_name=first_name,
        first_priority=first_priority,
        chargers=listed,
    )


def _ask(prompts: Prompts, one: FoundCharger, *, lowest: int, suggested: int) -> int:
    def number(text: str) -> int:
        if not (text.isdecimal() and lowest <= int(text) <= _LOWEST):
            raise ValueError(f"{text!r} is not a number from {lowest} to {_LOWEST}.")
        return int(text)

    return prompts.ask(
        f"Priority of {one.name} ({one.id})", "it in the UI", number, suggested=str(suggested)
    )


def _with(
    own: OtherCharger | None, found: FoundCharger, priority: int, taken: Container[str]
) -> OtherCharger:
    """The charger as saved, with its current ids and this priority."""
    kept: dict[str, Any] = own.model_dump() if own else {"name": _name(found, taken)}
    return OtherCharger.model_validate(kept | found.address.model_dump() | {"priority": priority})


def _name(found: FoundCharger, taken: Container[str]) -> str:
    """The charger's name, or its id if it has none or another charger has the same."""
    name = found.name.replace("/", "-").replace("|", "-").strip()[:40]
    return found.id if not name or name in taken else name
