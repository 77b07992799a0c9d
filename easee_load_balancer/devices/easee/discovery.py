"""The chargers of an Easee account, each with its site and circuit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from easee_load_balancer.devices.easee.client import EaseeClient
from easee_load_balancer.devices.easee.models import (
    AccountCharger,
    ChargerAddress,
    Circuit,
    EaseeSite,
)
from easee_load_balancer.errors import ChargerUnknown


@dataclass(frozen=True, slots=True)
class FoundCharger:
    """A charger with the circuit on which its current is set."""

    id: str
    name: str
    site: EaseeSite
    circuit: Circuit

    @property
    def address(self) -> ChargerAddress:
        """The ids that the balancer needs."""
        return ChargerAddress(charger_id=self.id, site_id=self.site.id, circuit_id=self.circuit.id)

    @property
    def others(self) -> tuple[AccountCharger, ...]:
        """The other chargers on its circuit, which get the same current."""
        return tuple(one for one in self.circuit.chargers if one.id != self.id)

    def __str__(self) -> str:
        return f"{self.name} ({self.id}) at {self.site.name or self.site.id}"


async def find_chargers(easee: EaseeClient) -> tuple[FoundCharger, ...]:
    """All chargers of the account that are on a circuit. Raises a ChargerError."""
    found: list[FoundCharger] = []
    sites: list[EaseeSite] = []
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


def _site_with(charger_id: str, sites: Sequence[EaseeSite]) -> EaseeSite | None:
    return next((site for site in sites if site.circuit_of(charger_id)), None)
