"""A simulated house, and tariffs whose prices come from it."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.simulation.server import SimulatedHouse
from easee_load_balancer.simulation.sources.price_routes import TOKEN

PATHS = {
    "Energy-Charts": "energy-charts",
    "Nord Pool": "nord-pool",
    "aWATTar": "awattar",
    "ENTSO-E": "entsoe",
    "address": "prices.csv",
}


def tariff(house: SimulatedHouse, source: str = "Nord Pool", **fields: Any) -> Prices:
    """Prices of that source, out of the simulated house."""
    given: dict[str, Any] = {
        "source": source,
        "zone": "" if source == "address" else "DE-LU",
        "address": f"{house.api_url}/sources/{PATHS.get(source, source)}",
        "token": SecretStr(TOKEN if source == "ENTSO-E" else ""),
    }
    return Prices(**(given | fields))
