"""The blocks that describe a simulated house."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from easee_load_balancer.orchestration.blocks import (
    ChargingPolicy,
    EaseeCharger,
    EaseeCredentials,
    HuaweiInverter,
    Site,
)
from easee_load_balancer.simulation.server import SimulatedHouse


def site_of(house: SimulatedHouse, inverter: dict[str, Any], policy: dict[str, Any]) -> Site:
    """The default site with this house, with further fields of inverter and policy."""
    cloud = house.cloud.spec
    credentials = EaseeCredentials(
        user_name=cloud.user_name, password=SecretStr(cloud.password), base_url=house.api_url
    )
    return Site(
        Site.DEFAULT,
        HuaweiInverter(host=house.host, port=house.modbus_port, **inverter),
        EaseeCharger(
            charger_id=cloud.charger_id,
            site_id=cloud.site_id,
            circuit_id=cloud.circuit_id,
            credentials=credentials,
        ),
        ChargingPolicy(**policy),
    )
