"""Cycles and Home Assistant: a real Prefect server, a real house and a real broker."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from balance import balance
from boost import boost
from prefect import get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Running

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.history.store import open_history
from easee_load_balancer.integrations.home_assistant import Topics
from easee_load_balancer.integrations.links import LINKS
from easee_load_balancer.integrations.mqtt_broker import BrokerAddress
from easee_load_balancer.orchestration.blocks import ChargingPolicy, MqttBroker, Site
from easee_load_balancer.orchestration.remote_control import RemoteControl
from easee_load_balancer.simulation.easee.documents import CloudSpec
from easee_load_balancer.system.processes import HOST, free_port
from easee_load_balancer.system.settings import Settings
from tasks.home_assistant import publish_in_time
from tests.support.home import Home, a_home
from tests.support.mosquitto import PASSWORD, Mosquitto, Watcher, watching
from tests.support.site import SITE
from tests.support.snapshots import snapshot
from tests.support.waiting import until

TOPICS = Topics(SITE, CloudSpec().charger_id)


@asynccontextmanager
async def linked(address: BrokerAddress) -> AsyncIterator[None]:
    """The block of that broker."""
    await MqttBroker(**address.model_dump()).asave(SITE, overwrite=True)
    try:
        yield
    finally:
        await MqttBroker.adelete(SITE)


@asynccontextmanager
async def a_linked_home(broker: Mosquitto) -> AsyncIterator[tuple[Home, Watcher]]:
    """A home after its first cycle, as the worker runs it; deployed, but nobody runs that."""
    async with a_home() as home, linked(broker.address), get_client() as client:
        for flow in (balance, boost):
            await client.create_deployment(
                flow_id=await client.create_flow_from_name(flow.name),
                name=SITE,
                parameters={"site": SITE, "time_zone": "Europe/Stockholm"},
                tags=[SITE],
            )
        async with watching(broker) as watcher, LINKS.held():
            assert (await home.cycle()).is_completed()
            await watcher.value(TOPICS.charger_state, "setpoint_a", 16)
            yield home, watcher


async def test_home_assistant_sees_cycles_and_changes_the_block(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with a_linked_home(broker) as (home, watcher):
        state, row = watcher.last(TOPICS.site_state), home.last_cycle()
        assert (state["decision"], state["outcome"]) == (row.reason, "pushed")
        assert state["pv_w"] == pytest.approx(row.pv_w)
        assert state["cloud_calls"] == 3
        assert state["today_saved"] == 0.0
        for name, text, value in (
            ("mode", "solar", "solar"),
            ("max_current_a", "20", 20),
            ("max_current_a", "99", 20),
        ):
            count = watcher.count(TOPICS.charger_state)
            await watcher.command(TOPICS.command(name), text)
            await watcher.published(TOPICS.charger_state, count + 1)
            assert watcher.last(TOPICS.charger_state)[name] == value
        policy = (await Site.load(SITE)).policy
        assert (policy.mode, policy.max_current_a, policy.phases) == ("solar", 20, "3")
        await ChargingPolicy(mode="off").asave(SITE, overwrite=True)
        await home.cycle()
        await watcher.value(TOPICS.charger_state, "mode", "off")
        told = [repr(await RemoteControl(SITE).settings()), repr(await MqttBroker.aload(SITE))]
    for text in (*told, caplog.text, *capfd.readouterr()):
        assert PASSWORD not in text


async def test_a_boost_begins_and_ends_by_mqtt(broker: Mosquitto) -> None:
    async with a_linked_home(broker) as (home, watcher), get_client() as client:

        async def asked() -> list[FlowRun]:
            runs = await client.read_flow_runs()
            return [one for one in runs if one.deployment_id and one.parameters.get("until")]

        assert watcher.last(TOPICS.charger_state)["boost_until"] == "off"
        await watcher.command(TOPICS.command("boost"), "12 parsecs")
        await watcher.command(TOPICS.command("boost"), "23:59 or 10 kWh")
        (run,) = await until(asked)  # an illegal end starts nothing
        assert run.parameters == {
            **{"site": SITE, "time_zone": "Europe/Stockholm"},
            **{"until": "23:59 or 10 kWh", "current_a": 16},
        }
        await client.set_flow_run_state(run.id, Running(), force=True)  # as a worker would
        begun = Boost.asked(16, "10 kWh", "UTC", home.last_cycle().at)
        open_history(Settings().database_url).boosts.begin(SITE, str(run.id), begun)
        await home.cycle()
        await watcher.value(TOPICS.charger_state, "boost_until", "10 kWh")
        await watcher.command(TOPICS.command("boost"), "off")

        async def cancelling() -> bool:
            return (await client.read_flow_run(run.id)).state_type is StateType.CANCELLING

        await until(cancelling)
        await home.cycle()
        await watcher.value(TOPICS.charger_state, "boost_until", "off")


async def test_a_cycle_in_its_own_process_publishes_in_time_or_not_at_all(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_home() as home, linked(broker.address), watching(broker) as watcher:
        assert (await home.cycle()).is_completed()
        await watcher.value(TOPICS.charger_state, "setpoint_a", 16)
    with socket.create_server((HOST, 0), backlog=5) as silent:
        for port in (silent.getsockname()[1], free_port()):
            async with linked(BrokerAddress(host=HOST, port=port)):
                began_s = time.monotonic()
                await publish_in_time(snapshot())
                assert time.monotonic() - began_s < 8  # the MQTT library alone would wait 10 s
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]
