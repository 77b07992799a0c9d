"""The link of a site to its MQTT broker: a task that no cycle waits for.

It publishes what the newest cycle has handed over, and passes on commands. While the broker does
not answer, it tries again every few seconds; older cycles are not caught up on.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from easee_load_balancer.control.policy import Policy
from easee_load_balancer.errors import BalancerError, BrokerError, ServerUnreachable
from easee_load_balancer.integrations.commands import Command, command_from
from easee_load_balancer.integrations.home_assistant import (
    BIRTH_TOPIC,
    OFFLINE,
    ONLINE,
    Message,
    Topics,
    discovery,
    states,
)
from easee_load_balancer.integrations.inbound import Reported, reported
from easee_load_balancer.integrations.mqtt_broker import BrokerAddress
from easee_load_balancer.integrations.snapshot import Snapshot, Today

if TYPE_CHECKING:
    from easee_load_balancer.integrations.broker_client import BrokerClient, Received

LOOK_EVERY_S = 300.0
"""How often the block is looked up, and the day summed up."""
_LOOK_WHILE_FAILING_S = 60.0
RECONNECT_S = 5.0
_BIRTH_DELAY_S = (1.0, 5.0)
"""Random, so that not all devices answer Home Assistant's start at the same moment."""
_FAREWELL_S = 1.0

logger = logging.getLogger("prefect.mqtt")
"""Prefect shows its lines in the worker's log."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """The settings of a link."""

    address: BrokerAddress
    interval: timedelta
    """Between two cycles."""


class Home(Protocol):
    """What the link needs from the rest of the program. Every method raises BalancerError."""

    async def settings(self) -> LinkSettings | None:
        """The broker; None if there is no block for it."""

    async def today(self) -> Today:
        """The energy of the current day."""

    async def obey(self, command: Command | Reported) -> Policy | None:
        """Carry out the command, or use the value; returns the policy if it has changed."""


class Link:
    """The link of one site."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._snapshot: Snapshot | None = None
        self._fresh = asyncio.Event()
        """There is something to publish."""
        self._announced: list[Message] = []
        """The discovery messages that the broker has received."""
        self._today: Today | None = None
        self._looked_s = float("-inf")
        self._changed_at, self._changed = datetime.min.replace(tzinfo=UTC), Policy()
        """The last change of the policy by a command."""
        self._failing = False
        self._named: set[str] = set()
        """Topics whose retained commands or unusable values were named."""

    def hand_over(self, snapshot: Snapshot) -> None:
        """Take the newest cycle; returns at once."""
        if snapshot.loaded_at < self._changed_at:  # it had loaded the policy before the change
            snapshot = replace(snapshot, policy=self._changed)
        self._snapshot = snapshot
        self._fresh.set()

    async def run(self) -> None:
        """Keep the link until cancelled."""
        settings = None
        while True:
            delay_s = LOOK_EVERY_S
            try:
                if settings is None or self._looked_ago_s() > _LOOK_WHILE_FAILING_S:
                    self._looked_s = time.monotonic()
                    with suppress(ServerUnreachable):
                        settings = await self._home.settings()
                if settings is not None:
                    await self._serve(settings)
                    settings, delay_s = None, 0.0
            except BalancerError as error:
                self._say(str(error))
                delay_s = RECONNECT_S if settings else _LOOK_WHILE_FAILING_S
            _stop_if_cancelled()
            await asyncio.sleep(delay_s)

    async def _serve(self, settings: LinkSettings) -> None:
        """Use the broker until it fails or the settings change."""
        from easee_load_balancer.integrations.broker_client import connected

        snapshot = await self._newest()
        topics = Topics.of(snapshot)
        self._announced = []
        offline = Message(topics.status, OFFLINE)
        async with connected(settings.address, snapshot.site, will=offline) as client:
            await client.subscribe([BIRTH_TOPIC, topics.command("+"), topics.inputs])
            listening = asyncio.create_task(self._listen(client, topics))
            try:
                while not listening.done():
                    await self._publish(client, settings)
                    if self._charger_changed(topics) or await self._settings_changed(settings):
                        break
                    await self._wait_for_news(listening)
                else:
                    listening.result()
            finally:
                listening.cancel()
                with suppress(BrokerError, TimeoutError):
                    async with asyncio.timeout(_FAREWELL_S):
                        await asyncio.gather(listening, return_exceptions=True)
                        await client.publish([offline])

    async def _newest(self) -> Snapshot:
        while self._snapshot is None:
            self._fresh.clear()
            await self._fresh.wait()
        return self._snapshot

    async def _publish(self, client: BrokerClient, settings: LinkSettings) -> None:
        self._fresh.clear()
        snapshot = await self._newest()
        if self._today is None:
            await self._sum_up()
        snapshot = replace(snapshot, today=self._today)
        devices = discovery(snapshot, settings.interval, linked=True)
        if devices != self._announced:
            await client.publish(devices)
            self._announced = devices
        await client.publish([*states(snapshot), Message(Topics.of(snapshot).status, ONLINE)])
        if self._failing:
            logger.info("The MQTT broker at %s can be used again.", settings.address)
            self._failing = False

    def _charger_changed(self, topics: Topics) -> bool:
        return self._snapshot is not None and self._snapshot.charger_id != topics.charger_id

    async def _sum_up(self) -> None:
        """Sum up the day; the last known totals stay where that fails."""
        with suppress(BalancerError):
            self._today = (await self._home.today()).not_below(self._today)

    async def _settings_changed(self, settings: LinkSettings) -> bool:
        """Look the settings up from time to time, and sum up the day with it."""
        if self._looked_ago_s() < LOOK_EVERY_S:
            return False
        self._looked_s = time.monotonic()
        await self._sum_up()
        with suppress(ServerUnreachable):
            return await self._home.settings() != settings
        return False

    async def _wait_for_news(self, listening: asyncio.Task[None]) -> None:
        _stop_if_cancelled()
        news = asyncio.create_task(self._fresh.wait())
        try:
            await asyncio.wait({news, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()

    async def _listen(self, client: BrokerClient, topics: Topics) -> None:
        async for message in client.received():
            if message.topic == BIRTH_TOPIC:
                if message.payload == ONLINE.encode():
                    await asyncio.sleep(random.uniform(*_BIRTH_DELAY_S))
                    self._announced = []
                    self._fresh.set()
            elif (name := topics.command_name(message.topic)) is not None:
                await self._obey(name, message)
                self._fresh.set()
            elif (name := topics.input_name(message.topic)) is not None:
                await self._take(name, message)

    async def _take(self, name: str, message: Received) -> None:
        """Pass on a value of another program, or say once why not."""
        try:
            value = reported(name, message.payload, datetime.now(UTC), retained=message.retained)
            await self._home.obey(value)
        except BalancerError as error:
            if message.topic not in self._named:
                self._named.add(message.topic)
                logger.warning("Ignored a value from MQTT: %s", error)
        else:
            self._named.discard(message.topic)

    async def _obey(self, name: str, message: Received) -> None:
        """Carry out a command, or say why not; the values in force are published next."""
        if message.retained:
            if message.topic not in self._named:
                self._named.add(message.topic)
                logger.warning(
                    "Ignored a retained command on %s: send commands without the retain flag, and "
                    "delete this one.",
                    message.topic,
                )
            return
        try:
            command = command_from(name, message.payload)
            policy = await self._home.obey(command)
        except BalancerError as error:
            logger.warning("Refused a command from MQTT: %s", error)
            return
        logger.info("By MQTT: %s", command)
        if policy is not None and self._snapshot is not None:
            self._changed, self._changed_at = policy, datetime.now(UTC)
            self._snapshot = replace(self._snapshot, policy=policy)

    def _looked_ago_s(self) -> float:
        return time.monotonic() - self._looked_s

    def _say(self, message: str) -> None:
        if not self._failing:
            logger.warning("%s Cycles continue without it.", message)
        self._failing = True


def _stop_if_cancelled() -> None:
    """Before a long wait: `asyncio.wait_for`, in Python 3.11, may swallow a cancellation."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
