"""The link to a real broker: states, commands, a restart of Home Assistant, a failing broker."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.errors import BrokerError, ConfigurationError, ServerUnreachable
from easee_load_balancer.integrations import link
from easee_load_balancer.integrations.commands import Command, SettingChange
from easee_load_balancer.integrations.home_assistant import BIRTH_TOPIC, Topics
from easee_load_balancer.integrations.inbound import Reported
from easee_load_balancer.integrations.link import LinkSettings
from easee_load_balancer.integrations.links import Links
from easee_load_balancer.integrations.mqtt_broker import BrokerAddress
from easee_load_balancer.integrations.one_off import publish_once
from easee_load_balancer.integrations.snapshot import Snapshot, Today
from easee_load_balancer.system.processes import HOST, free_port
from tests.support.certificate import write_certificate
from tests.support.mosquitto import PASSWORD, Mosquitto, Watcher, watching
from tests.support.paths import PROJECT
from tests.support.snapshots import CHARGER_ID, snapshot, today
from tests.support.waiting import until

TOPICS = Topics("home", CHARGER_ID)
SITE_CONFIG = "homeassistant/device/easee_balancer_home/config"
INTERVAL = timedelta(seconds=30)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that is less patient than in a home."""
    monkeypatch.setattr(link, "RECONNECT_S", 0.3)
    monkeypatch.setattr(link, "_BIRTH_DELAY_S", (0.1, 0.2))


@dataclass
class FakeHome:
    """The rest of the program: one policy in memory."""

    address: BrokerAddress | None
    policy: Policy = field(default_factory=Policy)
    commands: list[Command | Reported] = field(default_factory=list)
    server_down: bool = False

    async def settings(self) -> LinkSettings | None:
        if self.server_down:
            raise ServerUnreachable("The Prefect server does not answer: is it running?")
        return None if self.address is None else LinkSettings(self.address, INTERVAL)

    async def today(self) -> Today:
        return today()

    async def obey(self, command: Command | Reported) -> Policy | None:
        self.commands.append(command)
        if isinstance(command, Reported):
            return None
        if not isinstance(command, SettingChange):
            raise ConfigurationError("there is no boost to cancel.")
        self.policy = Policy(**command.applied_to(self.policy.model_dump()))
        return self.policy


def cycle(**other: object) -> Snapshot:
    """A cycle that begins now."""
    return replace(snapshot(), loaded_at=datetime.now(UTC), **other)  # type: ignore[arg-type]


@dataclass
class Scene:
    """A linked home, and a client that watches the broker."""

    links: Links
    home: FakeHome
    watcher: Watcher

    def cycle(self, **other: object) -> None:
        """Hand over a cycle; the link needs no time of the caller."""
        began_s = time.perf_counter()
        self.links.hand_over(cycle(policy=self.home.policy, **other), lambda: self.home)
        assert time.perf_counter() - began_s < 0.5

    async def charger(self, key: str, value: object) -> None:
        """Wait until the charger's state shows that value."""
        await self.watcher.value(TOPICS.charger_state, key, value)


@asynccontextmanager
async def a_scene(broker: Mosquitto) -> AsyncIterator[Scene]:
    links, home = Links(), FakeHome(broker.address)
    async with watching(broker) as watcher, links.held():
        yield Scene(links, home, watcher)


async def test_a_cycle_is_published_and_a_stop_says_goodbye(broker: Mosquitto) -> None:
    async with watching(broker) as watcher:
        links, home = Links(), FakeHome(broker.address)
        async with links.held():
            links.hand_over(cycle(), lambda: home)
            await until(lambda: watcher.last(TOPICS.status) == "online", every_s=0.02)
            assert watcher.last(TOPICS.site_state)["pv_w"] == 5000.0
            assert watcher.last(TOPICS.site_state)["today_pv_kwh"] == 1.0
            assert (
                "mode"
                in watcher.last(SITE_CONFIG.replace("/config", f"_{CHARGER_ID}/config"))[
                    "components"
                ]
            )
        await until(lambda: watcher.last(TOPICS.status) == "offline", every_s=0.02)
    async with watching(broker) as late:
        await until(lambda: late.last(TOPICS.charger_state), every_s=0.02)
        assert all(message.retain for message in late.seen)


async def test_a_command_changes_the_policy_and_is_answered(broker: Mosquitto) -> None:
    async with a_scene(broker) as scene:
        scene.cycle()
        await scene.charger("mode", "solar")
        began_before = cycle(policy=scene.home.policy)
        await scene.watcher.command(TOPICS.command("mode"), "fast")
        await scene.charger("mode", "fast")
        assert scene.home.policy.mode == "fast"
        # a cycle that had loaded the policy before the change does not show the old one
        count = scene.watcher.count(TOPICS.charger_state)
        scene.links.hand_over(began_before, lambda: scene.home)
        await scene.watcher.published(TOPICS.charger_state, count + 1)
        assert scene.watcher.last(TOPICS.charger_state)["mode"] == "fast"
        scene.home.policy = Policy(mode="off")  # changed in Prefect's page
        scene.cycle()
        await scene.charger("mode", "off")


async def test_another_charger_gets_a_device_and_controls_of_its_own(broker: Mosquitto) -> None:
    async with a_scene(broker) as scene:
        scene.cycle()
        await scene.charger("mode", "solar")
        new = Topics("home", "EH654321")
        scene.cycle(charger_id=new.charger_id)
        await scene.watcher.published(TOPICS.status, 3)  # online, offline, online
        await scene.watcher.command(new.command("mode"), "fast")
        await scene.watcher.value(new.charger_state, "mode", "fast")


async def test_an_illegal_command_is_refused_and_the_old_state_published_again(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_scene(broker) as scene:
        scene.cycle()
        await scene.charger("max_current_a", 16)
        for name, text, sentence in (
            ("max_current_a", "99", "less than or equal to 32"),
            ("boost", "off", "no boost to cancel"),
            ("main_fuse_a", "63", "there is no command"),
        ):
            count = scene.watcher.count(TOPICS.charger_state)
            await scene.watcher.command(TOPICS.command(name), text)
            await scene.watcher.published(TOPICS.charger_state, count + 1)
            assert scene.watcher.last(TOPICS.charger_state)["max_current_a"] == 16
            assert sentence in caplog.text
        assert scene.home.policy == Policy()


async def test_values_of_other_programs_are_passed_on_and_others_refused(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_scene(broker) as scene:
        scene.cycle()
        await scene.charger("max_current_a", 16)
        await scene.watcher.command("easee-balancer/home/input/car_soc", "much")
        await scene.watcher.command("easee-balancer/home/input/car_soc", "63")
        [value] = await until(lambda: scene.home.commands)
        assert isinstance(value, Reported)
        assert (value.name, value.value) == ("car_soc", 63.0)
        assert "Ignored a value from MQTT: the input car_soc cannot be used" in caplog.text


async def test_a_retained_command_is_ignored_and_named_once(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching(broker) as before:
        await before.command(TOPICS.command("mode"), "fast", retain=True)
    async with a_scene(broker) as scene:
        scene.cycle()
        await scene.charger("mode", "solar")
        await scene.watcher.command(TOPICS.command("mode"), "off", retain=True)
        await scene.watcher.command(TOPICS.command("phases"), "1")
        await scene.charger("phases", "1")
        assert scene.home.commands == [SettingChange("phases", "1")]
    assert caplog.text.count("Ignored a retained command") == 1


async def test_everything_is_published_again_when_home_assistant_starts(
    broker: Mosquitto,
) -> None:
    async with a_scene(broker) as scene:
        scene.cycle()
        await scene.charger("mode", "solar")
        await until(lambda: scene.watcher.last(TOPICS.status) == "online", every_s=0.02)
        counts = [scene.watcher.count(topic) for topic in (SITE_CONFIG, TOPICS.site_state)]
        await scene.watcher.command(BIRTH_TOPIC, "online", retain=True)
        await until(
            lambda: (
                [scene.watcher.count(topic) for topic in (SITE_CONFIG, TOPICS.site_state)]
                == [count + 1 for count in counts]
            )
        )


async def test_states_are_right_again_after_the_broker_was_killed(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    links, home = Links(), FakeHome(broker.address)
    async with links.held():
        async with watching(broker) as watcher:
            links.hand_over(cycle(), lambda: home)
            await until(lambda: watcher.last(TOPICS.status) == "online", every_s=0.02)
            broker.kill()
        await until(lambda: "cannot be used" in caplog.text)
        links.hand_over(cycle(outcome="pushed"), lambda: home)
        broker.start()
        async with watching(broker) as watcher:
            await watcher.value(TOPICS.site_state, "outcome", "pushed")
            await until(lambda: watcher.last(TOPICS.status) == "online", every_s=0.02)
            assert watcher.last(SITE_CONFIG) is not None
    assert caplog.text.count("cannot be used") == 1
    assert PASSWORD not in caplog.text


async def test_a_broker_that_hangs_is_left_and_found_again(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_scene(broker) as scene:
        scene.cycle()
        await scene.charger("mode", "solar")
        broker.hang(on=True)
        scene.cycle()
        await until(lambda: "cannot be used" in caplog.text)
        broker.hang(on=False)
        scene.cycle(outcome="pushed")
        await scene.watcher.value(TOPICS.site_state, "outcome", "pushed")
        broker.hang(on=True)  # a stop waits for nobody
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 10
    broker.hang(on=False)


async def test_a_link_ends_even_where_a_call_swallows_the_cancellation(broker: Mosquitto) -> None:
    """As `asyncio.wait_for` does in Python 3.11 when its result comes at the same moment."""
    begun = asyncio.Event()

    class Deaf(FakeHome):
        async def today(self) -> Today:
            begun.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            return today()

    links, home = Links(), Deaf(broker.address)
    async with asyncio.timeout(60), watching(broker) as watcher:
        async with links.held():
            links.hand_over(cycle(), lambda: home)
            await begun.wait()
        await until(lambda: watcher.last(TOPICS.status) == "offline")


async def test_a_wrong_password_is_named_without_it(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = broker.address.model_copy(update={"password": "secret-but-wrong"})
    wrong = BrokerAddress.model_validate(wrong.model_dump())
    links, home = Links(), FakeHome(wrong)
    async with links.held():
        links.hand_over(cycle(), lambda: home)
        await until(lambda: "Not authorized" in caplog.text, every_s=0.02)
    assert "Is it running, and is the block 'MQTT broker' right?" in caplog.text
    for told in (caplog.text, repr(wrong), str(wrong), repr(LinkSettings(wrong, INTERVAL))):
        assert "secret-but-wrong" not in told


async def test_with_tls_only_a_trusted_certificate_is_accepted(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = write_certificate(broker.folder)
    port = free_port()
    secure = broker.address.model_copy(update={"port": port, "tls": True})
    broker.restart(f"listener {port} {HOST}", f"certfile {certificate}", f"keyfile {key}")
    with pytest.raises(BrokerError, match="self-signed certificate"):
        await publish_once(LinkSettings(secure, INTERVAL), cycle())
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    await publish_once(LinkSettings(secure, INTERVAL), cycle())
    async with watching(broker) as watcher:
        await watcher.value(TOPICS.site_state, "outcome", "held")


@pytest.mark.parametrize("server_down", [False, True])
async def test_without_a_broker_the_link_only_looks_for_one(
    server_down: bool, caplog: pytest.LogCaptureFixture
) -> None:
    links, home = Links(), FakeHome(None, server_down=server_down)
    async with links.held():
        for _ in range(3):
            links.hand_over(cycle(), lambda: home)
            await asyncio.sleep(0.01)
    assert not links.kept
    assert not caplog.text


async def test_the_link_stays_while_the_prefect_server_is_down(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_scene(broker) as scene:
        scene.cycle()
        await scene.charger("mode", "solar")
        monkeypatch.setattr(link, "LOOK_EVERY_S", 0.0)
        scene.home.server_down = True
        scene.cycle(outcome="pushed")
        await scene.watcher.value(TOPICS.site_state, "outcome", "pushed")
        scene.cycle(outcome="failed")
        await scene.watcher.value(TOPICS.site_state, "outcome", "failed")
        assert scene.watcher.last(TOPICS.status) == "online"
        assert scene.watcher.count(SITE_CONFIG) == 1
        scene.home.server_down, scene.home.address = False, None  # the block is deleted
        scene.cycle()
        await until(lambda: scene.watcher.last(TOPICS.status) == "offline", every_s=0.02)


async def test_a_process_of_its_own_publishes_sensors_without_controls(broker: Mosquitto) -> None:
    await publish_once(LinkSettings(broker.address, INTERVAL), cycle())
    async with watching(broker) as watcher:
        await watcher.value(TOPICS.site_state, "outcome", "held")
        await until(lambda: watcher.last(TOPICS.status) == "online", every_s=0.02)
        components = watcher.last(SITE_CONFIG.replace("/config", f"_{CHARGER_ID}/config"))[
            "components"
        ]
        assert "car_w" in components
        assert not [one for one in components.values() if "command_topic" in one]


async def test_the_broker_says_offline_for_a_killed_worker(broker: Mosquitto) -> None:
    program = (
        "import asyncio, sys\n"
        "from tests.integrations.test_link import FakeHome, Links, cycle\n"
        "from tests.support.mosquitto import HOST, USER, PASSWORD, BrokerAddress\n"
        "address = BrokerAddress(host=HOST, port=int(sys.argv[1]), user_name=USER,"
        " password=PASSWORD)\n"
        "async def main():\n"
        "    async with (links := Links()).held():\n"
        "        links.hand_over(cycle(), lambda: FakeHome(address))\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(broker.port)), cwd=PROJECT
    )
    try:
        async with watching(broker) as watcher:
            await until(lambda: watcher.last(TOPICS.status) == "online")
            worker.send_signal(signal.SIGKILL)
            await until(lambda: watcher.last(TOPICS.status) == "offline")
    finally:
        with suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()


def test_nothing_imports_the_mqtt_library_before_it_is_needed() -> None:
    program = (
        "import sys; sys.path.insert(0, 'flows'); import balance\n"
        "import easee_load_balancer.orchestration.worker.in_process\n"
        "assert not {'aiomqtt', 'paho'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=True, timeout=120)
