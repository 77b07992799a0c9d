"""The chargers of an Easee account as a page in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from easee_load_balancer.devices.easee.discovery import FoundCharger
from easee_load_balancer.reports.markdown import as_table

_COLUMNS = (
    *("charger", "charger ID", "site", "site ID", "circuit ID", "circuit"),
    "others on the circuit",
)


def chargers_page(chargers: Sequence[FoundCharger]) -> str:
    """A table with the IDs of each charger."""
    if not chargers:
        return "This account has no charger on a circuit."
    return as_table(_COLUMNS, "lllrrrl", [_row(one) for one in chargers])


def _row(charger: FoundCharger) -> tuple[str, ...]:
    rated_a = charger.circuit.rated_current
    return (
        charger.name,
        charger.id,
        charger.site.name or "",
        str(charger.site.id),
        str(charger.circuit.id),
        "" if rated_a is None else f"{rated_a:g} A",
        ", ".join(f"{other.name} ({other.id})" for other in charger.others),
    )
