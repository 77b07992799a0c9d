"""A mosquitto of the tests' own, where one is installed, and a client that watches it."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
from pydantic import SecretStr

from easee_load_balancer.integrations.mqtt_broker import BrokerAddress
from easee_load_balancer.system.processes import HOST
from tests.support.local_server import LocalServer, NotInstalled
from tests.support.waiting import until

USER, PASSWORD = "balancer", "pw-of-the-broker"
_PROGRAM = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


@dataclass(slots=True)
class Mosquitto(LocalServer):
    """A broker that keeps nothing over a restart."""

    @property
    def address(self) -> BrokerAddress:
        """The address with its login."""
        return BrokerAddress(
            host=HOST, port=self.port, user_name=USER, password=SecretStr(PASSWORD)
        )

    def command(self) -> tuple[str, ...]:
        """The program and its options."""
        return _PROGRAM, "-c", str(self.folder / "mosquitto.conf")

    def restart(self, *settings: str) -> None:
        """Start again with more lines in its settings."""
        self.kill()
        with (self.folder / "mosquitto.conf").open("a") as file:
            file.writelines(f"{line}\n" for line in settings)
        self.start()


@contextmanager
def running_mosquitto() -> Iterator[Mosquitto]:
    """A broker on a free port of loopback. Raises NotInstalled."""
    if not Path(_PROGRAM).exists():
        raise NotInstalled("mosquitto is not installed")
    folder = Path(tempfile.mkdtemp(prefix="mosquitto-"))
    folder.chmod(0o755)  # as root, mosquitto becomes another user
    broker = Mosquitto(folder)
    passwords = folder / "passwords"
    passwords.write_text(f"{USER}:{PASSWORD}\n")
    subprocess.run(["mosquitto_passwd", "-U", passwords], check=True, timeout=60)
    passwords.chmod(0o644)
    lines = (
        f"listener {broker.port} {HOST}",
        "allow_anonymous false",
        f"password_file {passwords}",
        "persistence false",
    )
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()
        shutil.rmtree(folder)


@dataclass(slots=True)
class Watcher:
    """Another client of the broker, such as Home Assistant."""

    client: aiomqtt.Client
    seen: list[aiomqtt.Message] = field(default_factory=list)

    def last(self, topic: str) -> Any:
        """The last payload of the topic, from JSON where it is; None if there was none."""
        texts = [one.payload for one in self.seen if str(one.topic) == topic]
        if not texts:
            return None
        text = bytes(texts[-1]).decode()
        return json.loads(text) if text.startswith("{") else text

    def count(self, topic: str) -> int:
        """How often the topic was published."""
        return len([one for one in self.seen if str(one.topic) == topic])

    async def published(self, topic: str, count: int) -> None:
        """Wait until the topic has been published this often."""
        await until(lambda: self.count(topic) >= count, every_s=0.02)

    async def value(self, topic: str, key: str, expected: Any) -> None:
        """Wait until the topic's last payload has that value."""
        await until(lambda: (self.last(topic) or {}).get(key) == expected, every_s=0.02)

    async def command(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Publish as Home Assistant does."""
        await self.client.publish(topic, payload, qos=1, retain=retain)


@asynccontextmanager
async def watching(broker: Mosquitto) -> AsyncIterator[Watcher]:
    """A client that sees everything on the broker."""
    async with aiomqtt.Client(HOST, broker.port, username=USER, password=PASSWORD) as client:
        await client.subscribe("#", qos=1)
        watcher = Watcher(client)

        async def watch() -> None:
            async for message in client.messages:
                watcher.seen.append(message)

        task = asyncio.create_task(watch())
        try:
            yield watcher
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
