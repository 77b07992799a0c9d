"""Further sites: deployments of their own, made from those of home."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.types._datetime import DateTime
from prefect.variables import Variable

from easee_load_balancer.errors import ConfigurationError
from easee_load_balancer.orchestration.groups import join_group
from easee_load_balancer.orchestration.other_chargers import OtherChargers
from easee_load_balancer.orchestration.prefect_stack import PrefectStack
from easee_load_balancer.orchestration.sites import (
    all_deployments,
    deploy_sites,
    fit_forms,
    pause_home,
    pool_of,
    spread,
)
from easee_load_balancer.orchestration.time_zone_variable import zone_variable
from easee_load_balancer.orchestration.worker.schedule import CycleSchedule

ZONE = "Europe/Stockholm"
NEW_YEAR = DateTime(2026, 1, 1, tzinfo=UTC)
EVERY_30_S = IntervalSchedule(interval=timedelta(seconds=30), anchor_date=NEW_YEAR, timezone=ZONE)
AFTER_MIDNIGHT = CronSchedule(cron="7 0 * * *", timezone=ZONE)
HUNDREDS = [f"house-{number}" for number in range(300)]


def test_two_hundred_sites_do_not_start_in_one_second() -> None:
    schedules = [spread(EVERY_30_S, site) for site in HUNDREDS]
    seconds = Counter(
        (one.anchor_date - NEW_YEAR).total_seconds()
        for one in schedules
        if isinstance(one, IntervalSchedule)
    )
    assert set(seconds) == set(range(30))
    assert max(seconds.values()) <= 22
    assert schedules == [spread(EVERY_30_S, site) for site in HUNDREDS]


def test_summaries_are_spread_over_the_time_before_clocks_change() -> None:
    times = {str(getattr(spread(AFTER_MIDNIGHT, site), "cron", "")) for site in HUNDREDS}
    minutes = [60 * int(hour) + int(minute) for minute, hour, *_ in map(str.split, times)]
    assert min(minutes) >= 7
    assert max(minutes) < 120
    assert len(times) > 90


def test_what_runs_every_hour_stays_and_home_starts_as_ever() -> None:
    hourly = CronSchedule(cron="37 * * * *", timezone=ZONE)
    assert spread(hourly, "cabin") == hourly
    assert [spread(one, "home") for one in (EVERY_30_S, AFTER_MIDNIGHT)] == [
        EVERY_30_S,
        AFTER_MIDNIGHT,
    ]


@pytest.fixture
def client(stack: PrefectStack) -> Iterator[SyncPrefectClient]:
    """A server with home's cycles, summaries and boosts, and nothing else."""
    with get_client(sync_client=True) as client:
        for one in all_deployments(client):
            client.delete_deployment(one.id)
        client.create_work_pool(WorkPoolCreate(name="home", type="in-process"), overwrite=True)
        site = {"site": "home", "time_zone": ZONE}
        for name, schedule, tags in (
            ("Balance", EVERY_30_S, ["home", "cycle"]),
            ("Daily summary", AFTER_MIDNIGHT, ["home", "own-process"]),
            ("Boost", None, ["home", "resumed"]),
        ):
            made = [DeploymentScheduleCreate(schedule=schedule, slug="one")] if schedule else []
            client.create_deployment(
                client.create_flow_from_name(name),
                name,
                schedules=made,
                parameters=site | ({"latest_start_s": 30} if name == "Balance" else {}),
                tags=tags,
                work_pool_name="home",
                parameter_openapi_schema={"properties": {"charger": {}, "site": {}}},
                entrypoint="flows/some.py:flow",
                pull_steps=[{"step": {}}],
            )
        client.create_deployment(
            client.create_flow_from_name("housekeeping"), "Housekeeping", work_pool_name="home"
        )
        yield client


def named(client: SyncPrefectClient) -> dict[str, DeploymentResponse]:
    return {one.name: one for one in all_deployments(client)}


def test_a_site_has_its_own_deployments_with_its_name(client: SyncPrefectClient) -> None:
    Variable.set(zone_variable("lake-cabin"), "Europe/Helsinki", overwrite=True)
    assert deploy_sites(client, ["lake-cabin"]) == ["lake-cabin"]
    found = named(client)
    assert set(found) == {
        *("Balance", "Daily summary", "Boost", "Housekeeping", "Overview"),
        *("Balance lake-cabin", "Daily summary lake-cabin", "Boost lake-cabin"),
    }
    cycles = found["Balance lake-cabin"]
    assert cycles.tags == ["lake-cabin", "cycle"]
    assert cycles.parameters == {
        "site": "lake-cabin",
        "time_zone": "Europe/Helsinki",
        "latest_start_s": 30,
    }
    assert (cycles.work_pool_name, cycles.pull_steps) == ("home", [{"step": {}}])
    [schedule] = cycles.schedules
    assert schedule.active
    assert isinstance(schedule.schedule, IntervalSchedule)
    assert schedule.schedule.timezone == "Europe/Helsinki"
    now = datetime.now(UTC)
    home_due = CycleSchedule.of(found["Balance"]).latest_due(now)
    assert home_due != CycleSchedule.of(cycles).latest_due(now)
    assert found["Balance"].parameters["site"] == "home"


def test_deploying_again_keeps_pool_interval_and_pauses(client: SyncPrefectClient) -> None:
    deploy_sites(client, ["cabin"], "lake")
    assert pool_of(client, "cabin") == "lake"
    assert client.read_work_pool("lake").type == "in-process"
    before = named(client)["Balance cabin"]
    [schedule] = before.schedules
    slower = EVERY_30_S.model_copy(update={"interval": timedelta(seconds=60)})
    client.update_deployment_schedule(before.id, schedule.id, active=False, schedule=slower)
    assert deploy_sites(client, ["barn"]) == ["barn", "cabin"]
    after = named(client)["Balance cabin"]
    [schedule] = after.schedules
    assert after.id == before.id
    assert pool_of(client, "cabin") == "lake"
    assert pool_of(client, "barn") == "home"
    assert not schedule.active
    assert isinstance(schedule.schedule, IntervalSchedule)
    assert schedule.schedule.interval == timedelta(seconds=60)
    assert schedule.schedule == spread(slower, "cabin")
    deploy_sites(client, ["cabin"], "home")
    assert pool_of(client, "cabin") == "home"


def test_where_nobody_lives_at_home_only_its_deployments_pause(client: SyncPrefectClient) -> None:
    deploy_sites(client, ["cabin"])
    pause_home(client, paused=True)
    assert {name for name, one in named(client).items() if one.paused} == {
        *("Balance", "Daily summary", "Boost"),
    }
    deploy_sites(client, ["cabin"], "lake")
    found = named(client)
    assert not found["Balance cabin"].paused
    assert {found[name].work_pool_name for name in ("Housekeeping", "Overview")} == {"lake"}
    pause_home(client, paused=False)
    assert not any(one.paused for one in all_deployments(client))


def test_forms_ask_for_a_charger_only_where_a_site_has_several(
    client: SyncPrefectClient,
) -> None:
    garage = {"charger_id": "EH200001", "site_id": 1, "circuit_id": 2, "name": "Garage"}
    several = OtherChargers.model_validate({"chargers": [garage]})
    asyncio.run(several.asave("cabin", overwrite=True))
    deploy_sites(client, ["cabin", "barn"])
    fit_forms(client)
    assert {
        name: list((one.parameter_openapi_schema or {})["properties"])
        for name, one in named(client).items()
        if name.startswith("Boost")
    } == {"Boost": ["site"], "Boost barn": ["site"], "Boost cabin": ["charger", "site"]}


def members(client: SyncPrefectClient) -> dict[str, list[str]]:
    """The sites of each group."""
    found = named(client).items()
    return {name: one.parameters["sites"] for name, one in found if "sites" in one.parameters}


def test_sites_join_a_group_and_leave_it(client: SyncPrefectClient) -> None:
    deploy_sites(client, ["cabin", "barn", "lake"])
    join_group(client, ["cabin", "barn"], "north")
    join_group(client, ["lake"], "north")
    assert members(client) == {"Balance group north": ["cabin", "barn", "lake"]}
    group = named(client)["Balance group north"]
    assert group.parameters["time_zone"] == ZONE
    assert (group.tags, group.work_pool_name) == (["cycle", "north"], "home")
    [schedule] = group.schedules
    assert schedule.schedule == spread(EVERY_30_S, "Balance group north")
    deploy_sites(client)  # as after an update
    assert [one.schedules[0].active for one in cycles_of(client, "cabin", "lake")] == [False] * 2
    join_group(client, ["cabin"], "south")
    assert members(client) == {
        "Balance group north": ["barn", "lake"],
        "Balance group south": ["cabin"],
    }
    join_group(client, ["cabin"], "")
    join_group(client, ["barn", "lake"], "")
    assert members(client) == {}
    assert [one.schedules[0].active for one in cycles_of(client, "cabin", "lake")] == [True] * 2


def test_a_group_has_one_pool_and_one_time_zone(client: SyncPrefectClient) -> None:
    deploy_sites(client, ["cabin", "lake-cabin"])
    with pytest.raises(ConfigurationError, match="'lake-cabin' has another time_zone"):
        join_group(client, ["cabin", "lake-cabin"], "north")
    with pytest.raises(ConfigurationError, match="'nowhere' is not deployed"):
        join_group(client, ["nowhere"], "north")
    assert members(client) == {}


def cycles_of(client: SyncPrefectClient, *sites: str) -> list[DeploymentResponse]:
    return [named(client)[f"Balance {site}"] for site in sites]
