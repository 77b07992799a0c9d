"""The blocks of a simulated house."""

from __future__ import annotations

from typing import Any, TypeVar

from prefect.blocks.core import Block

from easee_load_balancer.commands.demo import demo_site
from easee_load_balancer.commands.setup_wizard import block_with
from easee_load_balancer.orchestration.blocks import ChargingPolicy, Site
from easee_load_balancer.simulation.server import SimulatedHouse

SITE = Site.DEFAULT
AnyBlock = TypeVar("AnyBlock", bound=Block)


def site_of(house: SimulatedHouse, **changes: Any) -> Site:
    """The blocks of this house, with changes to any of their fields."""
    demo = demo_site(house.api_url, house.modbus_port, house.cloud.spec)

    def changed(block: AnyBlock) -> AnyBlock:
        fields = type(block).model_fields
        return block_with(type(block), block, **{n: changes.pop(n) for n in fields if n in changes})

    inverter, charger = changed(demo.inverter), changed(demo.charger)
    credentials = changed(demo.credentials)
    return Site(SITE, inverter, charger, credentials, ChargingPolicy(**changes), demo.tariff)
