"""The blocks as forms: what a person sees and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.blocks.core import Block
from pydantic import ValidationError

from easee_load_balancer.orchestration.blocks import (
    BLOCKS,
    ChargingPolicy,
    EaseeCharger,
    EaseeCredentials,
    HuaweiInverter,
    MqttBroker,
    Tariff,
)

LOGIN = {"user_name": "+4712345678", "password": "hush-hush"}


@pytest.mark.parametrize("block", BLOCKS)
def test_every_field_has_a_title_and_a_sentence(block: type[Block]) -> None:
    assert block.get_description()
    assert block.get_code_example()
    for name, field in block.model_fields.items():
        assert field.title, name
        assert field.description, name
        assert field.description.endswith("."), name


WRONG: list[tuple[type[Block], dict[str, Any], str]] = [
    (HuaweiInverter, {"host": ""}, "at least 1 character"),
    (HuaweiInverter, {"host": "inverter", "port": 0}, "greater than or equal to 1"),
    (HuaweiInverter, {"host": "inverter", "unit_id": 300}, "less than or equal to 247"),
    (EaseeCharger, {"charger_id": "", "site_id": 1, "circuit_id": 1}, "match pattern"),
    (EaseeCharger, {"charger_id": "EH123456", "site_id": 0, "circuit_id": 1}, "greater than"),
    (EaseeCredentials, {**LOGIN, "user_name": ""}, "at least 1 character"),
    (EaseeCredentials, {**LOGIN, "password": ""}, "at least 1"),
    (EaseeCredentials, {**LOGIN, "password": "********"}, "Type the password itself"),
    (EaseeCredentials, {**LOGIN, "base_url": "http://api.example"}, "must begin with https://"),
    (MqttBroker, {"host": ""}, "at least 1 character"),
    (MqttBroker, {"host": "broker", "port": 70_000}, "less than or equal to 65535"),
    (MqttBroker, {"host": "broker", "password": "****"}, "Type the password itself"),
    (ChargingPolicy, {"max_current_a": -16}, "greater than or equal to 10"),
    (ChargingPolicy, {"min_current_a": -6}, "greater than or equal to 6"),
    (ChargingPolicy, {"min_current_a": 16, "max_current_a": 10}, "less than or equal to 10"),
]


@pytest.mark.parametrize(("block", "fields", "sentence"), WRONG)
def test_wrong_values_are_refused_with_a_sentence(
    block: type[Block], fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        block(**fields)


def test_the_form_itself_refuses_a_minimum_above_the_maximum() -> None:
    """The web form checks each field alone, so their ranges must not cross."""
    fields = ChargingPolicy.model_json_schema()["properties"]
    assert fields["min_current_a"]["maximum"] <= fields["max_current_a"]["minimum"]


@pytest.mark.parametrize("block", BLOCKS)
def test_choices_are_of_one_type(block: type[Block]) -> None:
    """The web form shows a list for them, and an editor of raw JSON for a mixture."""
    for name, field in block.model_json_schema()["properties"].items():
        assert "type" in field or "enum" not in field, name


def test_the_password_is_a_secret() -> None:
    credentials = EaseeCredentials(**LOGIN)
    assert "hush-hush" not in repr(credentials)
    assert "hush-hush" not in str(credentials)
    assert EaseeCredentials.model_json_schema()["secret_fields"] == ["password"]
    assert MqttBroker.model_json_schema()["secret_fields"] == ["password"]


SAVED_EARLIER: list[tuple[type[Block], dict[str, Any]]] = [
    (HuaweiInverter, {"host": "inverter", "port": 502, "unit_id": 1, "settle_time_s": 1.0}),
    (EaseeCharger, {"charger_id": "EH123456", "site_id": 1, "circuit_id": 1, "credentials": LOGIN}),
    (EaseeCredentials, LOGIN),
    (ChargingPolicy, {"mode": "solar", "phases": 3, "min_current_a": 6, "max_current_a": 16}),
    (ChargingPolicy, {"phases": 1}),
    (ChargingPolicy, {"phases": "auto", "a_field_of_another_version": 1}),
    (MqttBroker, {"host": "broker", "a_field_of_another_version": 1}),
    (Tariff, {"import_price": 0.3, "export_price": 0.1, "a_field_of_another_version": 1}),
]


@pytest.mark.parametrize(("block", "fields"), SAVED_EARLIER)
def test_blocks_of_other_versions_load(block: type[Block], fields: dict[str, Any]) -> None:
    loaded = block.model_validate(fields)
    assert "a_field_of_another_version" not in loaded.model_dump()
