"""The Prefect blocks: what a home owner fills in. Their fields are those of the plain models."""

from __future__ import annotations

import asyncio
from asyncio import gather
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar, TypeVar

import httpx
from prefect import get_client
from prefect.blocks.core import Block
from prefect.exceptions import ObjectNotFound
from pydantic import ConfigDict, Field, ValidationError

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.devices.easee.models import Account, ChargerAddress
from easee_load_balancer.devices.huawei.client import InverterAddress
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.errors import ConfigurationError, MissingBlock

_LOOK_UP_S = 2.0
_FROM_ANY_VERSION = ConfigDict(extra="ignore")
"""A block may have been saved by a version that knew more fields."""


class EaseeCredentials(Account, Block):
    """Login of the Easee account that owns the charger. The password is stored encrypted.

    Example:
        ```python
        from easee_load_balancer.orchestration.blocks import EaseeCredentials

        credentials = EaseeCredentials.load("home")
        ```
    """

    _block_type_name = "Easee credentials"
    _block_type_slug = "easee-credentials"

    async def saved_at(self) -> datetime | None:
        """When the block was last saved; None where the server does not tell."""
        if self._block_document_id is None:
            return None
        try:
            async with asyncio.timeout(_LOOK_UP_S), get_client() as client:
                document = await client.read_block_document(self._block_document_id)
        except (TimeoutError, httpx.HTTPError, ObjectNotFound):
            return None
        return document.updated


class EaseeCharger(ChargerAddress, Block):
    """The charger whose current is controlled, and the login that may do so.

    Example:
        ```python
        from easee_load_balancer.orchestration.blocks import EaseeCharger

        charger = EaseeCharger.load("home")
        ```
    """

    _block_type_name = "Easee charger"
    _block_type_slug = "easee-charger"

    credentials: EaseeCredentials = Field(
        title="Login", description="The Easee credentials with access to this charger."
    )


class HuaweiInverter(InverterAddress, Block):
    """The SUN2000 inverter with the grid meter (and battery), read over Modbus TCP.

    Example:
        ```python
        from easee_load_balancer.orchestration.blocks import HuaweiInverter

        inverter = HuaweiInverter.load("home")
        ```
    """

    _block_type_name = "Huawei inverter"
    _block_type_slug = "huawei-inverter"


class ChargingPolicy(Policy, Block):
    """How the car is to be charged. Changes take effect at the next cycle.

    Example:
        ```python
        from easee_load_balancer.orchestration.blocks import ChargingPolicy

        policy = ChargingPolicy.load("home")
        ```
    """

    model_config = _FROM_ANY_VERSION
    _block_type_name = "Charging policy"
    _block_type_slug = "charging-policy"


class Tariff(Prices, Block):
    """What a kWh from the grid costs and a kWh sold earns, for the money in the summaries.

    Example:
        ```python
        from easee_load_balancer.orchestration.blocks import Tariff

        tariff = Tariff.load("home")
        ```
    """

    model_config = _FROM_ANY_VERSION
    _block_type_name = "Tariff"
    _block_type_slug = "tariff"

    @classmethod
    async def of_site(cls, name: str) -> Tariff | None:
        """The tariff called `name`, or None: a home can do without.

        Raises ConfigurationError for one with wrong values.
        """
        return await load_if_saved(cls, name)


BLOCKS: tuple[type[Block], ...] = (
    EaseeCredentials,
    EaseeCharger,
    HuaweiInverter,
    ChargingPolicy,
    Tariff,
)

SiteName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,60}$")]
"""A name that a block can have, and that is safe in a file's name."""

_AnyBlock = TypeVar("_AnyBlock", bound=Block)


@dataclass(frozen=True, slots=True)
class Site:
    """The blocks of one home; each has the site's name."""

    DEFAULT: ClassVar[str] = "home"

    name: str
    inverter: HuaweiInverter
    charger: EaseeCharger
    policy: ChargingPolicy

    @classmethod
    async def load(cls, name: str) -> Site:
        """Load the blocks called `name`. Raises ConfigurationError for a missing or wrong one."""
        inverter, charger, policy = await gather(
            load_block(HuaweiInverter, name),
            load_block(EaseeCharger, name),
            load_block(ChargingPolicy, name),
        )
        site = _LOADED[name] = cls(name, inverter, charger, policy)
        return site

    @classmethod
    def last_known(cls, name: str) -> Site:
        """The blocks as last loaded in this process. Raises ConfigurationError if never."""
        site = _LOADED.get(name)
        if site is None:
            raise ConfigurationError(
                f"The blocks named '{name}' have not been loaded yet, and the Prefect server "
                "cannot be reached: start it."
            )
        return site


_LOADED: dict[str, Site] = {}


async def load_if_saved(block: type[_AnyBlock], name: str) -> _AnyBlock | None:
    """The block called `name`, or None. Raises ConfigurationError for one with wrong values."""
    try:
        return await load_block(block, name)
    except MissingBlock:
        return None


async def load_block(block: type[_AnyBlock], name: str) -> _AnyBlock:
    """The block called `name`. Raises ConfigurationError for a missing one or wrong values."""
    title = block.get_block_type_name()
    try:
        return await block.aload(name)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'together'}: {one['msg']}"
            for one in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(
            f"The block '{title}' named '{name}' cannot work: {problems}. Correct it under Blocks."
        ) from None
    except ValueError as error:
        raise MissingBlock(
            f"There is no block '{title}' named '{name}': run `easee-balancer setup`, or create it "
            "under Blocks."
        ) from error


async def save_site(
    name: str,
    credentials: EaseeCredentials,
    charger: EaseeCharger,
    inverter: HuaweiInverter,
    policy: ChargingPolicy,
) -> None:
    """Register the block types and save these blocks as `name`, in place of what was there."""
    for block_type in BLOCKS:
        await block_type.aregister_type_and_schema()
    for block in (credentials, charger, inverter, policy):
        await block.asave(name, overwrite=True)
