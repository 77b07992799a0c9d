"""The questions of `easee-balancer setup` that concern no device: time zone and prices."""

from __future__ import annotations

from typing import Any

from prefect.variables import Variable
from pydantic import TypeAdapter, ValidationError

from easee_load_balancer.commands.prompts import Prompts
from easee_load_balancer.commands.setup_answers import Answers
from easee_load_balancer.commands.setup_wizard import block_with
from easee_load_balancer.energy.tariff import Price, Prices
from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.orchestration.blocks import Tariff
from easee_load_balancer.orchestration.own_addresses import HOME
from easee_load_balancer.orchestration.time_zone_variable import TIME_ZONE, zone_variable
from easee_load_balancer.periods import time_zone_called
from easee_load_balancer.system.time_zone import system_time_zone

_BY_TIME = ("import_price_by_hour", "export_price_by_hour", "import_price_by_time")
_LONGEST_CURRENCY = 8
_PRICE: TypeAdapter[float] = TypeAdapter(Price)


def saved_time_zone(site: str) -> str | None:
    """The time zone of an earlier setup, as the server knows it; at first, that of home."""
    value = Variable.get(zone_variable(site)) or Variable.get(TIME_ZONE)
    return None if value is None else str(value)


def save_time_zone(site: str, name: str) -> None:
    """Save it where deployments take it from; a further site's own only where it differs."""
    if site == HOME or Variable.get(zone_variable(site)) or name != Variable.get(TIME_ZONE):
        Variable.set(zone_variable(site), name, overwrite=True)


def ask_time_zone(prompts: Prompts, answers: Answers, saved: str | None) -> str:
    """Ask for the time zone; without a terminal, it stays as saved or is this machine's."""
    return prompts.ask(
        "Time zone",
        "--time-zone",
        _time_zone,
        given=answers.time_zone,
        saved=saved or system_time_zone(),
    )


def ask_prices(prompts: Prompts, answers: Answers, saved: Tariff | None) -> Tariff | None:
    """Ask for currency and prices. Without a terminal or a flag, they stay as they are.

    So do prices by time and day-ahead prices, which are edited under Blocks.
    """
    flags = (answers.currency, answers.import_price, answers.export_price)
    changes = any(flag is not None for flag in flags)
    if not changes and (not prompts.interactive or _varies(saved)):
        return saved
    known = saved or Prices()
    currency = prompts.ask(
        "Currency",
        "--currency",
        _currency,
        given=answers.currency,
        saved=known.currency,
    )
    import_price = prompts.ask(
        f"Price of a kWh from the grid, including taxes and fees, in {currency}",
        "--import-price",
        _price,
        given=answers.import_price,
        saved=f"{known.import_price:g}",
    )
    export_price = prompts.ask(
        f"Price of a kWh sold to the grid, in {currency}",
        "--export-price",
        _price,
        given=answers.export_price,
        saved=f"{known.export_price:g}",
    )
    prices: dict[str, Any] = {
        "currency": currency,
        "import_price": import_price,
        "export_price": export_price,
    }
    if saved is not None and saved.night_price == _night_price(saved.import_price):
        prices["night_price"] = _night_price(import_price)
    return block_with(Tariff, saved, **prices)


def _varies(saved: Tariff | None) -> bool:
    if saved is None:
        return False
    return saved.source != "fixed" or any(getattr(saved, name) for name in _BY_TIME)


def _night_price(import_price: float) -> float:
    """As estimated for a tariff without one of its own."""
    return Prices(import_price=import_price).night_price


def _time_zone(text: str) -> str:
    try:
        return time_zone_called(text).key
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


def _currency(text: str) -> str:
    if not 0 < len(text) <= _LONGEST_CURRENCY:
        raise ValueError(f"{text!r} is not a currency, for example EUR.")
    return text


def _price(text: str) -> float:
    try:
        return _PRICE.validate_python(text.replace(",", "."))
    except ValidationError:
        raise ValueError(f"{text!r} is not a price per kWh, for example 0.30.") from None
