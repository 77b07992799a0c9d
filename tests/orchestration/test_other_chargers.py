"""The chargers of a home from its blocks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from easee_load_balancer.commands.demo import demo_site
from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.orchestration.blocks import ChargingPlan, Site
from easee_load_balancer.orchestration.other_chargers import Chargers, OtherChargers
from easee_load_balancer.simulation.easee.documents import CloudSpec

GARAGE = {"charger_id": "EH200001", "site_id": 1, "circuit_id": 2, "name": "Garage"}
GUESTS = GARAGE | {"charger_id": "EH200002", "name": "Guests", "priority": 2, "mode": "fast"}


def home(*chargers: dict[str, object]) -> Site:
    """A home with the first charger EH123456."""
    site = demo_site("http://127.0.0.1:1", 1, CloudSpec())
    others = OtherChargers.model_validate({"first_name": "Carport", "chargers": chargers})
    return replace(site, others=others)


def test_a_home_with_one_charger_has_no_several() -> None:
    for site in (replace(home(), others=None), home()):
        chargers = Chargers.of(site)
        assert not chargers.several
        assert [(one.name, one.state_key) for one in chargers.all] == [("", site.name)]
        assert chargers.called("") is chargers.all[0]


def test_each_charger_has_its_own_mode_and_the_homes_limits() -> None:
    site = home(GARAGE, GUESTS)
    chargers = Chargers.of(site)
    assert chargers.several
    assert [(one.name, one.priority, one.key) for one in chargers.all] == [
        ("Carport", 1, f"{site.name}/EH123456"),
        ("Garage", 1, f"{site.name}/EH200001"),
        ("Guests", 2, f"{site.name}/EH200002"),
    ]
    assert [one.policy.mode for one in chargers.all] == [site.policy.mode, "solar", "fast"]
    assert {one.policy.main_fuse_a for one in chargers.all} == {site.policy.main_fuse_a}
    assert chargers.called("guests") is chargers.called("EH200002") is chargers.all[2]
    with pytest.raises(ConfigurationError, match="only Carport, Garage, Guests"):
        chargers.called("Barn")


def test_each_car_has_its_own_departures_and_the_homes_cheap_price() -> None:
    garage = GARAGE | {"departures": ["Mon-Fri 07:30-17:00 12 kWh"], "floor_kwh": 5}
    site = replace(home(garage, GUESTS), wishes=ChargingPlan(charge_below_price=0.05))
    first, second, guests = Chargers.of(site).all
    assert (first.wishes, guests.wishes) == (site.wishes, None)
    assert second.wishes is not None
    assert second.wishes.weekly[0].amount.kwh == 12
    assert (second.wishes.floor_kwh, second.wishes.charge_below_price) == (5, 0.05)


@pytest.mark.parametrize(
    ("line", "told"),
    [("07:00 80 %", "state of charge of this car is not known"), ("at seven", "is not like")],
)
def test_departures_that_cannot_be_planned_are_refused(line: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        home(GARAGE | {"departures": [line]})


@pytest.mark.parametrize(
    "second", [GARAGE | {"name": "Carport"}, GARAGE | {"name": "Shed"}], ids=["name", "id"]
)
def test_two_chargers_of_one_name_or_id_are_refused(second: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="a name and an id of its own"):
        home(GARAGE, second)


def test_the_first_charger_is_not_listed_again() -> None:
    with pytest.raises(ConfigurationError, match="EH123456, which is in the block"):
        Chargers.of(home(GARAGE | {"charger_id": "EH123456"}))
