"""The chargers of an Easee account, each with its site and circuit: nobody has to look up ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from easee_load_balancer.devices.easee.client import Easee
from easee_load_balancer.devices.easee.models import Charger, ChargerAddress, Circuit, Site
from easee_load_balancer.errors import ChargerUnknown


@dataclass(frozen=True, slots=True)
class FoundCharger:
    """A charger with the circuit on which its current is set."""

    id: str
    name: str
    site: Site
    circuit: Circuit

    @property
    def address(self) -> ChargerAddress:
        """What the balancer needs of it."""
        return ChargerAddress(charger_id=self.id, site_id=self.site.id, circuit_id=self.circuit.id)

    @property
    def others(self) -> tuple[Charger, ...]:
        """The other chargers on its circuit, which get the same current."""
        return tuple(one for one in self.circuit.chargers if one.id != self.id)

    def __str__(self) -> str:
        return f"{self.name} ({self.id}) at {self.site.name or self.site.id}"


async def find_chargers(easee: Easee) -> tuple[FoundCharger, ...]:
    """All chargers of the account that are on a circuit. Raises a ChargerError."""
    found: list[FoundCharger] = []
    sites: list[Site] = []
    for charger in await easee.chargers():
        site = _site_with(charger.id, sites)
        if site is None:
            try:
                site = await easee.site_of(charger.id)
            except ChargerUnknown:
                continue
            sites.append(site)
        circuit = site.circuit_of(charger.id)
        if circuit is not None:
            found.append(FoundCharger(charger.id, charger.name, site, circuit))
    return tuple(found)


def _site_with(charger_id: str, sites: Sequence[Site]) -> Site | None:
    return next((site for site in sites if site.circuit_of(charger_id)), None)


def chargers_page(chargers: Sequence[FoundCharger]) -> str:
    """The chargers as a table in Markdown."""
    if not chargers:
        return "This account has no charger that is on a circuit."
    rows = [
        "| charger | charger id | site | site id | circuit id | circuit | others on the circuit |",
        "|---|---|---|---:|---:|---:|---|",
    ]
    for one in chargers:
        rated_a = one.circuit.rated_current
        cells = (
            one.name,
            one.id,
            one.site.name or "",
            one.site.id,
            one.circuit.id,
            "" if rated_a is None else f"{rated_a:g} A",
            ", ".join(f"{other.name} ({other.id})" for other in one.others),
        )
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows)
