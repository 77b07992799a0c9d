"""Time zone and prices: what flags, saved values and nothing at all lead to without a terminal."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from easee_load_balancer.commands.prompts import Prompts
from easee_load_balancer.commands.setup_answers import Answers
from easee_load_balancer.commands.setup_preferences import ask_prices, ask_time_zone
from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.orchestration.blocks import Tariff
from easee_load_balancer.system.time_zone import system_time_zone

PROMPTS = Prompts(Console(file=StringIO()))
FIXED = Tariff(currency="SEK", import_price=2.1, export_price=0.6)
OWN_NIGHT = Tariff(currency="SEK", import_price=2.1, night_price=0.9)
DAY_AHEAD = Tariff(source="Energy-Charts", zone="SE4")

PRICES: dict[str, tuple[Answers, Tariff | None, tuple[str, float, float, float] | None]] = {
    "nothing asked for": (Answers(), None, None),
    "as saved": (Answers(), FIXED, ("SEK", 2.1, 0.6, 1.4)),
    "first prices": (
        Answers(currency="SEK", import_price="1,8", export_price="0"),
        *(None, ("SEK", 1.8, 0.0, 1.2)),
    ),
    "one changed": (Answers(import_price="3"), FIXED, ("SEK", 3.0, 0.6, 2.0)),
    "own night price": (Answers(import_price="3"), OWN_NIGHT, ("SEK", 3.0, 0.08, 0.9)),
    "day-ahead prices": (Answers(), DAY_AHEAD, ("EUR", 0.3, 0.08, 0.2)),
}


@pytest.mark.parametrize("name", PRICES)
def test_prices(name: str) -> None:
    given, saved, expected = PRICES[name]
    tariff = ask_prices(PROMPTS, given, saved)
    if tariff is None:
        assert expected is None
        return
    prices = (tariff.currency, tariff.import_price, tariff.export_price, tariff.night_price)
    assert prices == expected
    assert tariff.source == (saved or Tariff()).source


@pytest.mark.parametrize("price", ["much", "nan", "2000"])
def test_a_price_that_is_none_is_refused(price: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--import-price: .*price|import_price"):
        ask_prices(PROMPTS, Answers(import_price=price), None)


def test_the_time_zone_is_given_saved_or_this_machines() -> None:
    assert ask_time_zone(PROMPTS, Answers(time_zone="Europe/Oslo"), "UTC") == "Europe/Oslo"
    assert ask_time_zone(PROMPTS, Answers(), "Europe/Paris") == "Europe/Paris"
    assert ask_time_zone(PROMPTS, Answers(), None) == system_time_zone()
    with pytest.raises(ConfigurationError, match="--time-zone: 'Mars' is not an IANA time zone"):
        ask_time_zone(PROMPTS, Answers(time_zone="Mars"), None)
