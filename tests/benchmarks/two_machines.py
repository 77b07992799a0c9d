"""Two workers in two network namespaces share four sites on one PostgreSQL: who commands whom?

`make two-machines` (10 min; needs root, iproute2, iptables and PostgreSQL): both at work; one is
killed in the middle of a command; it comes back; the network of one is cut in silence for two
minutes in the middle of a command; it comes back. The houses' clouds take 2 s for each command and
write down which machine has sent it over which connection.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from prefect.settings import PREFECT_API_URL, temporary_settings

from easee_load_balancer.orchestration.prefect_stack import POOL, PrefectStack
from easee_load_balancer.system.processes import HOST
from tests.benchmarks.fleet import deploy_houses, houses_of
from tests.benchmarks.fleet_runs import history_between, longest_gap_s
from tests.benchmarks.tables import as_head, as_row
from tests.support.paths import PROJECT
from tests.support.postgres import Postgres, for_prefect, running_postgres

_SITES, _INTERVAL_S = 4, 10
_CUT_S, _PHASE_S = 120.0, 60.0
_SERVICES = "10.77.0.1"
"""Where server, databases and houses are for the machines, which take it for their loopback."""
_CLAIMS = """
SELECT deployment.name, state.message, run.state_name FROM flow_run run
JOIN deployment ON deployment.id = run.deployment_id
JOIN flow_run_state state ON state.flow_run_id = run.id AND state.message LIKE 'Claimed%%'
WHERE run.expected_start_time >= %s AND run.expected_start_time < %s
"""


@dataclass(frozen=True, slots=True)
class Command:
    """A command at a cloud."""

    site: str
    machine: str
    port: int
    """Of the machine's end of the connection."""
    began_at: float
    ended_at: float | None


class Machine:
    """A network namespace with a worker; services of this machine's loopback are led there."""

    def __init__(self, number: int) -> None:
        self.name = f"machine-{number}"
        self.link, self._peer = f"fleet{number}", f"fleet{number}p"
        self._gateway, self.address = f"10.77.{number}.1", f"10.77.{number}.2"
        self.worker: subprocess.Popen[bytes] | None = None
        self._nat = (
            *("PREROUTING", "-i", self.link, "-p", "tcp", "-d", _SERVICES, "-j", "DNAT"),
            *("--to-destination", HOST),
        )

    def begin(self) -> None:
        """Create namespace and link."""
        _run("ip", "netns", "add", self.name)
        peer = ("peer", "name", self._peer, "netns", self.name)
        _run("ip", "link", "add", self.link, "type", "veth", *peer)
        _run("ip", "addr", "add", f"{self._gateway}/24", "dev", self.link)
        _run("ip", "link", "set", self.link, "up")
        self._inside("ip", "addr", "add", f"{self.address}/24", "dev", self._peer)
        self._inside("ip", "link", "set", self._peer, "up")
        self._inside("ip", "link", "set", "lo", "up")
        self._inside("ip", "route", "add", "default", "via", self._gateway)
        self._inside("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
        nat = ("iptables", "-t", "nat", "-A")
        there = ("-j", "DNAT", "--to-destination", _SERVICES)
        self._inside(*nat, "OUTPUT", "-p", "tcp", "-d", HOST, *there)
        self._inside(*nat, "POSTROUTING", "-o", self._peer, "-j", "MASQUERADE")
        Path(f"/proc/sys/net/ipv4/conf/{self.link}/route_localnet").write_text("1")
        _run("iptables", "-t", "nat", "-A", *self._nat)

    def end(self) -> None:
        """Remove them."""
        self.kill()
        subprocess.run(["iptables", "-t", "nat", "-D", *self._nat], check=False)
        subprocess.run(["ip", "netns", "del", self.name], check=False)

    def cut(self) -> None:
        """From now on, what arrives at either end of the link is dropped in silence."""
        _run("iptables", "-t", "raw", "-I", "PREROUTING", "-i", self.link, "-j", "DROP")
        self._inside("iptables", "-t", "raw", "-I", "PREROUTING", "-i", self._peer, "-j", "DROP")

    def mend(self) -> None:
        """The network is back."""
        _run("iptables", "-t", "raw", "-D", "PREROUTING", "-i", self.link, "-j", "DROP")
        self._inside("iptables", "-t", "raw", "-F")

    def start(self, env: dict[str, str], folder: Path) -> None:
        """Start its worker."""
        data = folder / self.name
        data.mkdir(mode=0o700, exist_ok=True)
        env = env | {"EASEE_BALANCER_DATA_FOLDER": str(data), "EASEE_BALANCER_SHARED_POOL": "true"}
        command = ("-m", "prefect", "worker", "start", "--pool", POOL, "--type", "in-process")
        with (folder / f"{self.name}.log").open("ab") as log:
            self.worker = subprocess.Popen(
                ["ip", "netns", "exec", self.name, str(PROJECT / ".venv/bin/python"), *command],
                env=env,
                cwd=PROJECT,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill its worker with -9."""
        if self.worker is not None:
            os.killpg(self.worker.pid, signal.SIGKILL)
            self.worker.wait()
            self.worker = None

    def _inside(self, *command: str) -> None:
        _run("ip", "netns", "exec", self.name, *command)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@dataclass(slots=True)
class Scene:
    """What is at work, and what has been seen of it."""

    folder: Path
    postgres: Postgres
    history_url: str
    machines: tuple[Machine, Machine]
    env: dict[str, str]
    phases: list[tuple[str, datetime]] = field(default_factory=list)

    def phase(self, name: str) -> None:
        """From now on, this is what happens."""
        self.phases.append((name, datetime.now(UTC)))
        print(f"{datetime.now(UTC):%H:%M:%S} {name}", flush=True)

    def commands(self) -> list[Command]:
        """All commands that have reached a cloud."""
        seen: dict[int, dict[str, Any]] = {}
        for line in (self.folder / "commands.jsonl").read_text().splitlines():
            one = json.loads(line)
            seen.setdefault(one["number"], {"ended_at": None}).update(one)
        names = {one.address: one.name for one in self.machines}
        return [
            Command(
                one["site"],
                names.get(one["host"], one["host"]),
                *(one["port"], one["began_at"], one["ended_at"]),
            )
            for one in seen.values()
        ]

    def in_the_middle_of_a_command(self, machine: Machine) -> None:
        """Wait until a cloud has got a command of that machine and not answered yet."""
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            for one in self.commands():
                young = time.time() - one.began_at < 1
                if one.machine == machine.name and one.ended_at is None and young:
                    return
            time.sleep(0.05)
        raise TimeoutError(f"{machine.name} sends no commands")


@contextmanager
def scene() -> Iterator[Scene]:
    """Houses, databases and server, and two machines whose workers are at work."""
    with ExitStack() as exit_stack:
        folder = Path(exit_stack.enter_context(tempfile.TemporaryDirectory(prefix="machines-")))
        postgres = exit_stack.enter_context(running_postgres("10.77.0.0/16"))
        history_url = postgres.another("history").url
        machines = (Machine(1), Machine(2))
        for one in machines:
            exit_stack.callback(one.end)
            one.begin()
        stack = PrefectStack(folder, PROJECT)
        stack.env |= {
            "PREFECT_API_DATABASE_CONNECTION_URL": for_prefect(postgres.url),
            "EASEE_BALANCER_HISTORY_URL": history_url,
        }
        (folder / "commands.jsonl").touch()
        exit_stack.enter_context(stack)
        exit_stack.enter_context(temporary_settings({PREFECT_API_URL: stack.api_url}))
        _deploy(stack, folder)
        result = Scene(folder, postgres, history_url, machines, stack.env)
        for one in machines:
            one.start(stack.env, folder)
        try:
            yield result
        finally:
            for one in machines:
                one.kill()


def _deploy(stack: PrefectStack, folder: Path) -> None:
    ports = folder / "ports.json"
    options = (str(_SITES), str(ports), str(folder / "commands.jsonl"))
    houses = stack.start("houses", "tests.benchmarks.fleet_houses", *options)
    deploy_houses(houses_of(houses, ports), stack.deploy, _INTERVAL_S)


def play(found: Scene) -> None:
    """All phases."""
    first, second = found.machines
    env, folder = found.env, found.folder
    found.phase("both start")
    found.in_the_middle_of_a_command(second)
    found.phase("both at work")
    time.sleep(_PHASE_S)
    found.in_the_middle_of_a_command(first)
    found.phase("machine-1 killed in the middle of a command")
    first.kill()
    time.sleep(_PHASE_S)
    found.phase("machine-1 starts again")
    first.start(env, folder)
    time.sleep(_PHASE_S)
    found.in_the_middle_of_a_command(second)
    found.phase("machine-2 cut off in the middle of a command")
    second.cut()
    time.sleep(_CUT_S)
    found.phase("the network is back")
    second.mend()
    time.sleep(2 * _PHASE_S)
    found.phase("end")
    time.sleep(25)  # task runs are written every 20 s


def report(found: Scene) -> bool:
    """Print what happened; whether nothing happened that must not."""
    print(as_head(HEAD))
    for (name, start), (_, end) in zip(found.phases, found.phases[1:], strict=False):
        print(as_row([name, f"{(end - start).total_seconds():.0f}", *_cells(found, start, end)]))
    commands = sorted(found.commands(), key=lambda one: one.began_at)
    together = [
        (one, other)
        for one in commands
        for other in commands
        if one.site == other.site
        and one.machine != other.machine
        and one.began_at <= other.began_at < (one.ended_at or one.began_at + 2)
    ]
    moments = {name: at.timestamp() for name, at in found.phases}
    cut_at = moments["machine-2 cut off in the middle of a command"]
    back_at = moments["the network is back"]
    old = {one.port for one in commands if one.machine == "machine-2" and one.began_at < cut_at}
    late = [
        one
        for one in commands
        if one.machine == "machine-2" and one.began_at > back_at and one.port in old
    ]
    print(
        f"\nCommands: {len(commands)}. Of two machines at one charger at a time: {len(together)}."
    )
    print(f"From before the cut, delivered after it: {len(late)}.")
    return not together and not late


def _cells(found: Scene, start: datetime, end: datetime) -> list[str]:
    cycles = history_between(found.history_url, start, end)
    with psycopg.connect(found.postgres.url) as connection:
        claims = connection.execute(_CLAIMS, [start, end]).fetchall()
    owners = {
        (found.folder / one.name / "folder-id").read_text().strip(): one.name
        for one in found.machines
    }
    done = Counter(
        name
        for _, message, state in claims
        for folder_id, name in owners.items()
        if folder_id in message and state in ("Completed", "Attention")
    )
    sent = Counter(
        one.machine
        for one in found.commands()
        if start.timestamp() <= one.began_at < end.timestamp()
    )
    return [
        str(int(_SITES * (end - start).total_seconds() / _INTERVAL_S)),
        str(sum(outcome != "failed" for _, _, outcome in cycles)),
        " / ".join(str(done[one.name]) for one in found.machines),
        " / ".join(str(sent[one.name]) for one in found.machines),
        f"{longest_gap_s(cycles, start, end):.0f}",
    ]


HEAD = [
    *("phase", "s", "cycles due", "good", "of machine 1 / 2 by Prefect", "commands of 1 / 2"),
    "longest gap of a site s",
]


def main() -> None:
    """Play and report; exit code 1 if two machines commanded one charger."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    os.chdir(PROJECT)
    with scene() as found:
        play(found)
        good = report(found)
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
