"""The Prefect blocks that a home owner fills in, with the fields of the plain models."""

from __future__ import annotations

import asyncio
from asyncio import gather
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Self, TypeVar, cast
from uuid import UUID

import httpx
from prefect import get_client
from prefect.blocks.core import Block
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.client.schemas.objects import BlockDocument
from prefect.context import AsyncClientContext
from prefect.exceptions import ObjectNotFound
from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from easee_load_balancer.control.departures import ChargingWishes
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.devices.easee.models import Account, ChargerAddress
from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.energy.tariff import Prices
from easee_load_balancer.errors import ConfigurationError, MissingBlock, problems
from easee_load_balancer.forecasts.solar import PvPlant
from easee_load_balancer.integrations.mqtt_broker import BrokerAddress
from easee_load_balancer.orchestration.other_chargers import OtherChargers
from easee_load_balancer.orchestration.own_addresses import HOME, LOGO, SETTINGS, OwnAddress

_READ_TIMEOUT_S = 2.0
_NAMES_AT_ONCE = 20
"""A site has at most nine blocks, and the server returns at most 200."""


class _Documented:
    """Gives a block a logo and a link to the page of settings."""

    _logo_url: ClassVar[Any] = OwnAddress(LOGO)
    _documentation_url: ClassVar[Any] = OwnAddress(SETTINGS, section=True)

    def _field_has_secrets(self, field_name: str) -> bool:
        """As Prefect's own, which builds the whole schema for every field that is saved."""
        return field_name in _secret_fields(cast(type[Block], type(self)))


@cache
def _secret_fields(block: type[Block]) -> frozenset[str]:
    """Fields that are or contain secrets: Prefect names nested ones with a dot."""
    found: list[str] = block.model_json_schema().get("secret_fields", [])
    return frozenset(name.partition(".")[0] for name in found)


class SavedByAnyVersion(BaseModel):
    """Accepts a block that another version saved: renamed fields under both of their names.

    Fields that this version does not know are ignored.
    """

    model_config = ConfigDict(extra="ignore")

    renamed: ClassVar[Mapping[str, str]] = {}
    """New names of fields by their old names."""
    moved: ClassVar[Mapping[str, str]] = {}
    """Fields that are in another block now: their names there by their old names."""

    _moved: dict[str, Any] = PrivateAttr(default_factory=dict)
    _outdated: bool = PrivateAttr(default=False)

    @model_validator(mode="wrap")
    @classmethod
    def _from_old_names(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, dict):
            return handler(data)
        known = cls.model_fields
        renamed = {old: new for old, new in cls.renamed.items() if old in data and new in known}
        moved = {new: data[old] for old, new in cls.moved.items() if old in data.keys() - known}
        current = {renamed[old]: data[old] for old in renamed}
        block = handler(current | {name: data[name] for name in data if name not in renamed})
        block._moved, block._outdated = moved, bool(renamed or moved)
        return block

    async def write_back(self, name: str) -> None:
        """Replace the saved block `name` if it was loaded with old field names."""
        if not self._outdated or not isinstance(self, Block):
            return
        await self.aregister_type_and_schema()
        change = BlockDocumentUpdate(
            block_schema_id=self._block_schema_id,
            data=self.model_dump(mode="json", include=set(type(self).model_fields)),
            merge_existing_data=False,  # saving the usual way keeps the old names beside the new
        )
        async with get_client() as client:
            document = await client.read_block_document_by_name(name, self.get_block_type_slug())
            await client.update_block_document(document.id, change)
        self._outdated = False


def _not_asterisks(password: SecretStr) -> SecretStr:
    if set(password.get_secret_value()) == {"*"}:
        raise ValueError(
            "these are the asterisks that Prefect shows in place of the password. Type the "
            "password itself and save the block"
        )
    return password


class EaseeCredentials(Account, _Documented, Block):
    """Login of the Easee account that owns the charger. The password is stored encrypted."""

    _block_type_name = "Easee credentials"
    _block_type_slug = "easee-credentials"

    _not_asterisks = field_validator("password")(_not_asterisks)

    async def saved_at(self) -> datetime | None:
        """When the block was last saved; None if the server cannot say."""
        if self._block_document_id is None:
            return None
        try:
            async with asyncio.timeout(_READ_TIMEOUT_S), get_client() as client:
                document = await client.read_block_document(self._block_document_id)
        except (TimeoutError, httpx.HTTPError, ObjectNotFound):
            return None
        return document.updated


class EaseeCharger(ChargerAddress, _Documented, Block, SavedByAnyVersion):
    """The charger to control, with the login in the block Easee credentials of the same name."""

    _block_type_name = "Easee charger"
    _block_type_slug = "easee-charger"

    moved: ClassVar[Mapping[str, str]] = {"credentials": "login"}

    @property
    def credentials(self) -> object:
        """The login that an earlier version nested here; Prefect looks for it while loading."""
        return self._moved.get("login")

    async def write_back(self, name: str) -> None:
        """First save a login that was nested in the block as the login of that name.

        Prefect's page replaced nested logins by asterisks: those are dropped.
        """
        with suppress(ValidationError):
            login = EaseeCredentials.model_validate(self.credentials)
            saved = await load_if_valid(EaseeCredentials, name)
            if saved is None or dict(saved) != dict(login):
                await login.asave(name, overwrite=True)
        await super().write_back(name)


class HuaweiInverter(InverterAddress, _Documented, Block):
    """The SUN2000 inverter with the grid meter (and battery), read over Modbus TCP."""

    _block_type_name = "Huawei inverter"
    _block_type_slug = "huawei-inverter"


class Tariff(Prices, _Documented, Block, SavedByAnyVersion):
    """What electricity costs and earns. Decides when charging pays, and shows savings."""

    _block_type_name = "Tariff"
    _block_type_slug = "tariff"

    _not_asterisks = field_validator("token")(_not_asterisks)

    @classmethod
    async def of_site(cls, name: str) -> Tariff | None:
        """The saved tariff of the site, if any. Raises ConfigurationError for wrong values."""
        return await load_if_saved(cls, name)


class ChargingPolicy(Policy, _Documented, Block, SavedByAnyVersion):
    """How to charge the car. Changes take effect with the next cycle."""

    _block_type_name = "Charging policy"
    _block_type_slug = "charging-policy"

    renamed: ClassVar[Mapping[str, str]] = {
        "start_delay_s": "start_threshold_s",
        "stop_delay_s": "stop_threshold_s",
        "battery_support_span_pct": "battery_support_hysteresis_pct",
    }
    moved: ClassVar[Mapping[str, str]] = {
        "import_eur_kwh": "import_price",
        "export_eur_kwh": "export_price",
        "night_eur_kwh": "night_price",
    }

    async def write_back(self, name: str) -> None:
        """First save prices that differ from the defaults as a tariff, unless there is one."""
        defaults = Prices().model_dump()
        changed = any(defaults[field] != value for field, value in self._moved.items())
        if changed and await load_if_saved(Tariff, name) is None:
            await Tariff(**self._moved).asave(name, overwrite=True)
        await super().write_back(name)


class ChargingPlan(ChargingWishes, _Documented, Block, SavedByAnyVersion):
    """When the car has to be ready. With this block, grid energy is planned and bought."""

    _block_type_name = "Charging plan"
    _block_type_slug = "charging-plan"


class SolarPlant(PvPlant, _Documented, Block, SavedByAnyVersion):
    """Where the panels are, for a solar forecast. Only charging plans need it."""

    _block_type_name = "Solar plant"
    _block_type_slug = "solar-plant"


class MqttBroker(BrokerAddress, _Documented, Block, SavedByAnyVersion):
    """Connects the site to Home Assistant by MQTT. Changes take effect within five minutes."""

    _block_type_name = "MQTT broker"
    _block_type_slug = "mqtt-broker"

    _not_asterisks = field_validator("password")(_not_asterisks)


BLOCKS: tuple[type[Block], ...] = (
    EaseeCredentials,
    EaseeCharger,
    HuaweiInverter,
    ChargingPolicy,
    Tariff,
    ChargingPlan,
    SolarPlant,
    OtherChargers,
    MqttBroker,
)

_AnyBlock = TypeVar("_AnyBlock", bound=Block)


@dataclass(frozen=True, slots=True)
class Site:
    """The blocks of one home; each is saved under the site's name."""

    DEFAULT: ClassVar[str] = HOME

    name: str
    inverter: HuaweiInverter
    charger: EaseeCharger
    credentials: EaseeCredentials
    """The login that may control the charger."""
    policy: ChargingPolicy
    tariff: Tariff = field(default_factory=Tariff)
    """The default prices if none was saved."""
    wishes: ChargingPlan | None = None
    """None: nothing is planned, unless a departure is asked for."""
    solar: SolarPlant | None = None
    others: OtherChargers | None = None
    """None: the home has one charger."""

    @classmethod
    async def load(cls, name: str) -> Site:
        """Load the blocks, unless none was saved since they were last loaded in this process.

        Raises ConfigurationError if one is missing or has wrong values.
        """
        saved = _JUST_SAVED.pop(name, None) or (await _when_saved([name])).get(name, frozenset())
        if _SAVED.get(name) == saved:
            return _LOADED[name]
        async with AsyncClientContext.get_or_create():  # each new client loads all certificates
            inverter, charger, policy = await gather(
                load_block(HuaweiInverter, name),
                load_block(EaseeCharger, name),
                load_block(ChargingPolicy, name),
            )
            # now an old charger has saved its login, and an old policy its prices
            credentials, tariff = await gather(
                load_block(EaseeCredentials, name), Tariff.of_site(name)
            )
            wishes, solar, others = await gather(
                load_if_saved(ChargingPlan, name),
                load_if_saved(SolarPlant, name),
                load_if_saved(OtherChargers, name),
            )
        tariff = tariff or Tariff()
        site = cls(name, inverter, charger, credentials, policy, tariff, wishes, solar, others)
        _LOADED[name], _SAVED[name] = site, saved
        return site

    @classmethod
    async def look_up(cls, names: Sequence[str]) -> None:
        """Ask for many sites at once what `load` asks for each."""
        _JUST_SAVED.update(await _when_saved(names))

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

    async def save(self) -> None:
        """Register the block types and save the blocks, replacing earlier ones.

        A tariff without any value of its own is not saved.
        """
        blocks: list[Block] = [self.credentials, self.charger, self.inverter, self.policy]
        blocks += [one for one in (self.wishes, self.solar, self.others) if one is not None]
        if self.tariff.model_fields_set:
            blocks.append(self.tariff)
        async with AsyncClientContext.get_or_create():  # each new client loads all certificates
            for block_type in {*BLOCKS} - {type(block) for block in blocks}:
                await block_type.aregister_type_and_schema()
            for block in blocks:
                await block.asave(self.name, overwrite=True)


_Saved = frozenset[tuple[UUID, datetime | None]]

_LOADED: dict[str, Site] = {}
_SAVED: dict[str, _Saved] = {}
"""When the blocks in `_LOADED` had been saved."""


_JUST_SAVED: dict[str, _Saved] = {}
"""The same, just read for the cycles of a group."""


async def _when_saved(names: Sequence[str]) -> dict[str, _Saved]:
    """The blocks of these names and when each was last saved, in a few requests."""
    found: dict[str, set[tuple[UUID, datetime | None]]] = {}
    async with get_client() as client:
        for start in range(0, len(names), _NAMES_AT_ONCE):
            some = list(names[start : start + _NAMES_AT_ONCE])
            wanted = {"block_documents": {"name": {"any_": some}}}
            answer = await client.request("POST", "/block_documents/filter", json=wanted)
            for one in BlockDocument.model_validate_list(answer.raise_for_status().json()):
                found.setdefault(str(one.name), set()).add((one.id, one.updated))
    return {name: frozenset(saved) for name, saved in found.items()}


async def load_if_saved(block: type[_AnyBlock], name: str) -> _AnyBlock | None:
    """The block called `name`, or None. Raises ConfigurationError for one with wrong values."""
    try:
        return await load_block(block, name)
    except MissingBlock:
        return None


async def load_if_valid(block: type[_AnyBlock], name: str) -> _AnyBlock | None:
    """The block called `name`; None if there is none or it has wrong values."""
    try:
        return await load_block(block, name)
    except ConfigurationError:
        return None


async def load_block(block: type[_AnyBlock], name: str) -> _AnyBlock:
    """The block called `name`; one with old field names is saved again with the current ones.

    Raises MissingBlock, or ConfigurationError for one with wrong values.
    """
    title = block.get_block_type_name()
    try:
        loaded: _AnyBlock = await block.aload(name)
    except RuntimeError as error:
        if not isinstance(error.__cause__, ValidationError):
            raise
        raise ConfigurationError(
            f"The block '{title}' named '{name}' has wrong values: {problems(error.__cause__)}. "
            "Correct it under Blocks."
        ) from None
    except ValueError as error:
        raise MissingBlock(
            f"There is no block '{title}' named '{name}': run `easee-balancer setup`, or create it "
            "under Blocks."
        ) from error
    if isinstance(loaded, SavedByAnyVersion):
        with suppress(httpx.HTTPError):  # the next load tries again
            await loaded.write_back(name)
    return loaded
