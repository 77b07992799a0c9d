"""Blocks on a Prefect server, also as an earlier version saved them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from prefect import get_client
from prefect.blocks.core import Block
from prefect.client.schemas.actions import BlockDocumentUpdate
from pydantic import SecretStr

from easee_load_balancer.commands.demo import demo_site
from easee_load_balancer.errors import ConfigurationError, MissingBlock
from easee_load_balancer.orchestration.blocks import (
    BLOCKS,
    ChargingPlan,
    ChargingPolicy,
    EaseeCharger,
    EaseeCredentials,
    HuaweiInverter,
    MqttBroker,
    SavedByAnyVersion,
    Site,
    SolarPlant,
    Tariff,
    load_block,
)
from easee_load_balancer.orchestration.other_chargers import OtherCharger, OtherChargers
from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from tests.support.home import prefect_server
from tests.support.site import SITE

__all__ = ["prefect_server"]

OLD_POLICY = {
    "mode": "solar+minimum",
    "phases": 3,
    "min_current_a": 8,
    "max_current_a": 16,
    "start_delay_s": 77,
    "stop_delay_s": 200,
    "start_interval_s": 301,
    "phase_interval_s": 302,
    "export_margin_w": None,
    "import_eur_kwh": 0.3,
    "export_eur_kwh": 0.08,
    "night_eur_kwh": 0.2,
    "battery_first_until_pct": 10.0,
    "battery_reserve_w": 5000,
    "battery_support_w": 1000,
    "battery_support_from_pct": 90.0,
    "battery_support_span_pct": 7.0,
    "main_fuse_a": 35,
    "fuse_margin_a": 2,
}
"""The block document of version 0.1, with every field that it had."""


async def document(block: type[Block]) -> tuple[UUID, dict[str, Any]]:
    """Id and content of the block document, as the server stores it."""
    async with get_client() as client:
        found = await client.read_block_document_by_name(SITE, block.get_block_type_slug())
    assert found.id is not None
    return found.id, found.data


async def store(block: type[Block], data: dict[str, Any]) -> None:
    """Replace the block document's content without any validation."""
    document_id, _ = await document(block)
    change = BlockDocumentUpdate(data=data, merge_existing_data=False)
    async with get_client() as client:
        await client.update_block_document(document_id, change)


def values(site: Site) -> list[dict[str, Any]]:
    """What the blocks say."""
    blocks = (site.inverter, site.charger, site.credentials, site.policy, site.tariff)
    return [dict(block) for block in blocks]


@pytest.fixture(autouse=True)
async def saved(prefect_server: PrefectStack) -> None:
    """The blocks of a house, without a tariff."""
    if await Tariff.of_site(SITE) is not None:
        await Tariff.adelete(SITE)
    demo = demo_site("http://127.0.0.1:9", 5020)
    await replace(demo, tariff=Tariff()).save()


async def test_a_site_without_a_tariff_has_the_default_prices() -> None:
    site = await Site.load(SITE)
    assert site.tariff.model_dump() == Tariff().model_dump()
    assert await Tariff.of_site(SITE) is None


async def test_blocks_are_loaded_again_only_when_one_of_them_was_saved_or_deleted() -> None:
    first = await Site.load(SITE)
    assert await Site.load(SITE) is first
    policy = ChargingPolicy(min_current_a=first.policy.min_current_a + 1)
    await policy.asave(SITE, overwrite=True)
    assert (await Site.load(SITE)).policy.min_current_a == policy.min_current_a
    await Tariff(currency="SEK").asave(SITE, overwrite=True)
    assert (await Site.load(SITE)).tariff.currency == "SEK"
    await Tariff.adelete(SITE)
    assert (await Site.load(SITE)).tariff == Tariff()


async def test_an_old_policy_loads_and_is_saved_under_the_new_names_once() -> None:
    await store(ChargingPolicy, OLD_POLICY)
    policy = (await Site.load(SITE)).policy
    assert (policy.phases, policy.main_fuse_a, policy.battery_support_w) == ("3", 35, 1000)
    for old, new in ChargingPolicy.renamed.items():
        name = new if new in ChargingPolicy.model_fields else old
        assert getattr(policy, name) == OLD_POLICY[old], name
    assert await Tariff.of_site(SITE) is None  # its prices were the defaults
    document_id, data = await document(ChargingPolicy)
    assert data.keys() == ChargingPolicy.model_fields.keys()
    async with get_client() as client:
        before = await client.read_block_document(document_id)
        assert (await Site.load(SITE)).policy.model_dump() == policy.model_dump()
        assert (await client.read_block_document(document_id)).updated == before.updated


class Renamed(SavedByAnyVersion):
    renamed = {"old_s": "new_s", "older_s": "missing_s"}  # noqa: RUF012

    new_s: int = 60


def test_only_fields_that_exist_are_renamed() -> None:
    assert Renamed.model_validate({"old_s": 77, "older_s": 1}).model_dump() == {"new_s": 77}


@pytest.mark.skipif(
    "import_eur_kwh" in ChargingPolicy.model_fields, reason="the policy has the prices"
)
async def test_prices_of_an_old_policy_become_a_tariff_unless_there_is_one() -> None:
    old = OLD_POLICY | {"import_eur_kwh": 0.4, "night_eur_kwh": 0.25}
    for currency, tariff in (("EUR", None), ("SEK", Tariff(currency="SEK", import_price=2.1))):
        if tariff is not None:
            await tariff.asave(SITE, overwrite=True)
        await store(ChargingPolicy, old)
        site = await Site.load(SITE)
        assert site.tariff.currency == currency
        if tariff is None:
            prices = (site.tariff.import_price, site.tariff.export_price, site.tariff.night_price)
            assert prices == (0.4, 0.08, 0.25)


def roof() -> SolarPlant:
    return SolarPlant(latitude=55.6, longitude=13.0, peak_kw=10)


@pytest.mark.parametrize("ui", ["classic", "newer"])
async def test_blocks_saved_unchanged_in_the_ui_stay_as_they_were(ui: str) -> None:
    """Both UIs read asterisks in place of secrets; the classic one leaves out default values."""
    garage = OtherCharger(charger_id="EH200001", site_id=1, circuit_id=2, name="Garage")
    tariff, broker = Tariff(import_price=0.4, night_price=0.2), MqttBroker(host="broker")
    further = (tariff, broker, OtherChargers(chargers=[garage]), ChargingPlan(), roof())
    for one in further:
        await one.asave(SITE, overwrite=True)
    before = await Site.load(SITE)
    for block in BLOCKS:
        await save_unchanged(block, ui)
    after = await Site.load(SITE)
    assert values(after) == values(before)
    assert after.credentials.password.get_secret_value() == "simulated"
    for saved in further:
        assert dict(await load_block(type(saved), SITE)) == dict(saved)
    for one in further[1:]:
        await type(one).adelete(SITE)


async def save_unchanged(block: type[Block], ui: str) -> None:
    """Save it as that UI does when nobody has changed anything."""
    path = f"/block_types/slug/{block.get_block_type_slug()}/block_documents/name/{SITE}"
    async with get_client() as client:
        read = (await client.request("GET", path)).raise_for_status().json()  # type: ignore[arg-type]
        data = read["data"]
        if ui == "classic":
            schema = read["block_schema"]["fields"]["properties"]
            data = {
                name: value
                for name, value in data.items()
                if value is None or value != schema[name].get("default")
            }
        change = BlockDocumentUpdate(data=data, merge_existing_data=False)
        await client.update_block_document(read["id"], change)


async def test_a_nested_login_of_an_earlier_version_becomes_the_login_of_the_site() -> None:
    address = {"charger_id": "EH123456", "site_id": 1, "circuit_id": 2}
    login = EaseeCredentials(user_name="owner@example.com", password=SecretStr("the right one"))
    nested = await login.asave("family", overwrite=True)
    reference = {"credentials": {"$ref": {"block_document_id": str(nested)}}}
    await EaseeCredentials.adelete(SITE)
    for _ in range(2):
        await store(EaseeCharger, address | reference)
        site = await Site.load(SITE)
        assert dict(site.charger) == address
        assert dict(site.credentials) == dict(login)
        assert (await document(EaseeCharger))[1] == address
        await EaseeCredentials(user_name="u", password=SecretStr("w")).asave(SITE, overwrite=True)
    document_id, _ = await document(EaseeCharger)
    async with get_client() as client:
        before = await client.read_block_document(document_id)
        await Site.load(SITE)
        assert (await client.read_block_document(document_id)).updated == before.updated


@pytest.mark.parametrize(
    "spoilt",
    ["********", {"user_name": "owner@example.com", "password": "********"}, None, {"a": 1}],
)
async def test_a_nested_login_that_the_ui_has_replaced_is_ignored(spoilt: object) -> None:
    """Prefect's page stored the asterisks that it showed, without the reference."""
    before = await Site.load(SITE)
    await store(EaseeCharger, dict(before.charger) | {"credentials": spoilt})
    after = await Site.load(SITE)
    assert values(after) == values(before)
    assert (await document(EaseeCharger))[1] == dict(before.charger)


async def test_a_password_of_asterisks_is_named_and_what_to_do() -> None:
    await store(EaseeCredentials, {"user_name": "owner@example.com", "password": "*****"})
    with pytest.raises(ConfigurationError, match=r"'Easee credentials' named 'home'.* asterisks"):
        await Site.load(SITE)
    async with get_client() as client:
        read = await client.read_block_document_by_name(SITE, "easee-credentials")
        assert read.id is not None
        await client.delete_block_document(read.id)


async def test_an_old_tariff_loads() -> None:
    await Tariff(currency="SEK", import_price=2.1, export_price=0.6).asave(SITE, overwrite=True)
    await store(Tariff, {"currency": "SEK", "import_price": 2.1, "export_price": 0.6})
    tariff = (await Site.load(SITE)).tariff
    assert (tariff.import_price, tariff.night_price) == (2.1, 1.4)


async def test_a_missing_block_and_wrong_values_are_configuration_errors() -> None:
    with pytest.raises(MissingBlock, match="no block 'Huawei inverter' named 'cottage'"):
        await load_block(HuaweiInverter, "cottage")
    await store(ChargingPolicy, {"max_current_a": 5, "fuse_margin_a": 99})
    with pytest.raises(ConfigurationError, match=r"max_current_a: .* to 10; fuse_margin_a: "):
        await load_block(ChargingPolicy, SITE)
