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


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (Answers(import_price="much"), "--import-price: 'much' is not a price per kWh"),
        (Answers(import_price="nan"), "--import-price: 'nan' is not a price per kWh"),
        (Answers(export_price="2000"), "--export-price: '2000' is not a price per kWh"),
        (Answers(currency="Swedish kronor"), "--currency: 'Swedish kronor' is not a currency"),
    ],
)
def test_an_answer_that_the_tariff_would_refuse_is_refused_at_its_question(
    given: Answers, sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        ask_prices(PROMPTS, given, None)


def test_the_time_zone_is_given_saved_or_this_machines() -> None:
    assert ask_time_zone(PROMPTS, Answers(time_zone="Europe/Oslo"), "UTC") == "Europe/Oslo"
    assert ask_time_zone(PROMPTS, Answers(), "Europe/Paris") == "Europe/Paris"
    assert ask_time_zone(PROMPTS, Answers(), None) == system_time_zone()
    for wrong in ("Mars", "Europe", "x" * 300):
        sentence = f"--time-zone: '{wrong}' is not an IANA time zone"
        with pytest.raises(ConfigurationError, match=sentence):
            ask_time_zone(PROMPTS, Answers(time_zone=wrong), None)
