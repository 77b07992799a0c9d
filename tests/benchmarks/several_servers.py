"""Two API servers, Redis and the background services apart: what goes on when one of them dies?

`make several-servers` (12 min; needs PostgreSQL and Redis): the services of compose.fleet.yaml with
their commands and settings as processes of this machine, two workers with four sites every 10 s.
One API server is killed and comes back, Redis is killed, comes back and stops answering, the
background services are killed and come back.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psutil
import psycopg
from prefect.settings import PREFECT_API_URL, temporary_settings

from easee_load_balancer.orchestration.prefect_stack import deploy, wait_for_server
from easee_load_balancer.orchestration.stack_environment import api_url, stack_environment
from easee_load_balancer.system.processes import HOST, Child, free_port
from tests.benchmarks.fleet import deploy_houses, houses_of
from tests.benchmarks.fleet_runs import history_between, longest_gap_s
from tests.benchmarks.tables import as_head, as_row
from tests.benchmarks.usage import cpu_s_of_all, memory_kb_of_all, postmaster
from tests.support.compose import FOLDER, Service, services
from tests.support.paths import PROJECT
from tests.support.postgres import running_postgres
from tests.support.redis_server import RedisServer, running_redis

_PASSWORD = "pw-of-the-fleet"
_SERVERS, _WORKERS = ("api-1", "api-2"), ("worker-1", "worker-2")
_COUNTED = (_SERVERS, ("services",), ("redis",), ("database",), _WORKERS)
_GOOD = ("Completed", "Attention")
_ENOUGH = 0.8
"""The part of the due cycles that has to be good in each phase."""
_OFFLINE = "Without Prefect: "
_CLAIMS = """
SELECT state.message, run.state_name FROM flow_run run
JOIN flow_run_state state ON state.flow_run_id = run.id AND state.message LIKE 'Claimed%%'
WHERE run.expected_start_time >= %s AND run.expected_start_time < %s
"""
_SCHEDULED = "SELECT count(*) FROM flow_run WHERE auto_scheduled AND created >= %s AND created < %s"

HEAD = [
    *("phase", "s", "cycles due", "good", "by Prefect of worker 1 / 2"),
    *("without Prefect by 1 / 2", "longest gap of a site s", "runs scheduled"),
    "CPU s: API servers / services / Redis / database / workers",
]


@dataclass(frozen=True, slots=True)
class Moment:
    """What had been used and seen when a phase began."""

    phase: str
    at: datetime
    cpu_s: dict[str, float]
    offline: tuple[int, ...]
    """Cycles without Prefect by worker."""


@dataclass(slots=True)
class Scene:
    """What is at work, and what has been seen of it."""

    folder: Path
    sites: int
    interval_s: int
    found: dict[str, Service]
    places: dict[str, str]
    redis: RedisServer
    postgres: psutil.Process
    ports: dict[str, int] = field(default_factory=lambda: {one: free_port() for one in _SERVERS})
    children: dict[str, Child] = field(default_factory=dict)
    ended_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """CPU time of processes that were killed."""
    moments: list[Moment] = field(default_factory=list)

    def url(self, database: str) -> str:
        """The URL of one of the two databases."""
        at = self.places["@database"]
        return f"postgresql://balancer:{_PASSWORD}{at}/{database}"

    def env(self, name: str) -> dict[str, str]:
        """The environment of a service as process of this machine."""
        folder = self.folder / name
        (folder / "data").mkdir(parents=True, exist_ok=True, mode=0o700)
        base = stack_environment(folder, self.ports.get(name, 0), folder / "data")
        ui = {"PREFECT_UI_STATIC_DIRECTORY": str(folder / "ui")}
        return os.environ | base | ui | self.found[name].here(self.places)

    def start(self, name: str) -> None:
        """Start a service; an API server answers afterwards."""
        port = ("--port", str(self.ports[name])) if name in self.ports else ()
        command = (*self.found[name].python(), *port)
        log = self.folder / f"{name}.log"
        self.children[name] = child = Child(name, command, self.env(name), PROJECT, log)
        if name in self.ports:
            wait_for_server(child, api_url(self.ports[name]))

    def kill(self, name: str) -> None:
        """Kill it with -9."""
        pid = self.children[name].pid
        self.ended_s[name] += cpu_s_of_all(psutil.Process(pid))
        os.killpg(pid, signal.SIGKILL)
        self.children.pop(name).end()

    def kill_redis(self) -> None:
        """Kill it with -9."""
        self.ended_s["redis"] += cpu_s_of_all(self.redis.process)
        self.redis.kill()

    def end(self) -> None:
        """End all of them, the workers first."""
        for name in sorted(self.children, reverse=True):
            self.children[name].end()

    def phase(self, name: str, seconds: float = 0) -> None:
        """Begin a phase, and let it last this long."""
        used = defaultdict(float, self.ended_s)
        for child, process in self.processes().items():
            used[child] += cpu_s_of_all(process)
        logs = [(self.folder / f"{one}.log").read_text() for one in _WORKERS]
        offline = tuple(log.count(_OFFLINE) for log in logs)
        self.moments.append(Moment(name, datetime.now(UTC), used, offline))
        print(f"{datetime.now(UTC):%H:%M:%S} {name}", flush=True)
        time.sleep(seconds)

    def processes(self) -> dict[str, psutil.Process]:
        """Those whose use counts."""
        counted = [one for one in (*_SERVERS, "services", *_WORKERS) if one in self.children]
        processes = {one: psutil.Process(self.children[one].pid) for one in counted}
        processes |= {"database": self.postgres}
        return processes | ({"redis": self.redis.process} if self.redis.running else {})

    def memory_mb(self) -> dict[str, float]:
        """Of each of them but the database, whose processes share theirs."""
        return {
            name: memory_kb_of_all(process) / 1024
            for name, process in self.processes().items()
            if name != "database"
        }

    def owners(self) -> list[str]:
        """How the workers sign what they claim."""
        return [(self.folder / one / "data" / "folder-id").read_text().strip() for one in _WORKERS]


@contextmanager
def scene(sites: int, interval_s: int) -> Iterator[Scene]:
    """Everything at work."""
    found = services(FOLDER / "compose.fleet.yaml")
    secrets = {
        f"${{{name}_PASSWORD{end}}}": _PASSWORD
        for name in ("POSTGRES", "REDIS")
        for end in ("", ":?")
    }
    with ExitStack() as exit_stack:
        folder = Path(exit_stack.enter_context(tempfile.TemporaryDirectory(prefix="servers-")))
        postgres = exit_stack.enter_context(running_postgres())
        postgres.execute(f"CREATE ROLE balancer SUPERUSER LOGIN PASSWORD '{_PASSWORD}'")
        for statement in ("CREATE DATABASE prefect", (FOLDER / "databases.sql").read_text()):
            postgres.execute(statement)
        options = found["redis"].options(secrets)
        redis = exit_stack.enter_context(running_redis(*options))
        at = postgres.url.partition("@")[2].partition("/")[0]
        result = Scene(folder, sites, interval_s, found, {}, redis, postmaster(postgres.url))
        result.places = secrets | {
            "@database": f"@{at}",
            "@redis:6379": f"@{HOST}:{redis.port}",
            **{f"http://{one}:4200": f"http://{HOST}:{result.ports[one]}" for one in _SERVERS},
            **{
                f"http://{HOST}:420{number}": f"http://{HOST}:{result.ports[one]}"
                for number, one in enumerate(_SERVERS)
            },
        }
        exit_stack.callback(result.end)
        _begin(result)
        yield result


def _begin(found: Scene) -> None:
    found.start("tables")
    while found.children["tables"].running:
        time.sleep(0.2)
    found.children.pop("tables").end()
    for one in ("services", *_SERVERS):
        found.start(one)
    ports = found.folder / "ports.json"
    houses = ("tests.benchmarks.fleet_houses", str(found.sites), str(ports))
    log = found.folder / "houses.log"
    found.children["houses"] = Child("houses", houses, found.env("worker-1"), PROJECT, log)
    names = houses_of(found.children["houses"], ports)
    with temporary_settings({PREFECT_API_URL: api_url(found.ports["api-1"])}):
        deploy_houses(names, partial(deploy, PROJECT, found.env("worker-1")), found.interval_s)
    for one in _WORKERS:
        found.start(one)


def play(found: Scene, phase_s: float) -> None:
    """All phases."""
    found.phase("both start", 60)
    found.phase("all at work", 2 * phase_s)
    found.kill("api-1")
    found.phase("api-1 killed", phase_s)
    found.start("api-1")
    found.phase("api-1 is back", phase_s)
    found.kill_redis()
    found.phase("Redis killed", phase_s)
    found.redis.start()
    found.phase("Redis is back, empty", phase_s)
    found.redis.hang(on=True)
    found.phase("Redis does not answer", phase_s)
    found.redis.hang(on=False)
    found.phase("Redis answers again", phase_s)
    found.kill("services")
    found.phase("services killed", phase_s)
    found.start("services")
    found.phase("services are back", phase_s)
    found.phase("end")
    time.sleep(25)  # task runs are written every 20 s


def report(found: Scene) -> bool:
    """Print what happened; whether cycles went on in all phases."""
    print(as_head(HEAD))
    shares = []
    for start, end in zip(found.moments[1:], found.moments[2:], strict=False):
        cells, share = _cells(found, start, end)
        print(as_row(cells))
        shares.append(share)
    print(
        "\nMemory in MB:", ", ".join(f"{name} {mb:.0f}" for name, mb in found.memory_mb().items())
    )
    return min(shares) > _ENOUGH


def _cells(found: Scene, start: Moment, end: Moment) -> tuple[list[str], float]:
    span = [start.at, end.at]
    cycles = history_between(found.url("history"), start.at, end.at)
    with psycopg.connect(found.url("prefect")) as connection:
        claims = connection.execute(_CLAIMS, span).fetchall()
        [scheduled] = connection.execute(_SCHEDULED, span).fetchone() or [0]
    done = [
        sum(owner in message and state in _GOOD for message, state in claims)
        for owner in found.owners()
    ]
    span_s = (end.at - start.at) / timedelta(seconds=1)
    due = found.sites * span_s / found.interval_s
    good = sum(outcome != "failed" for _, _, outcome in cycles)
    offline = [new - old for new, old in zip(end.offline, start.offline, strict=True)]
    used_s = [sum(end.cpu_s[one] - start.cpu_s[one] for one in group) for group in _COUNTED]
    cells = [
        *(start.phase, f"{span_s:.0f}", f"{due:.0f}", str(good)),
        " / ".join(map(str, done)),
        " / ".join(map(str, offline)),
        f"{longest_gap_s(cycles, start.at, end.at):.0f}",
        str(scheduled),
        " / ".join(f"{seconds:.1f}" for seconds in used_s),
    ]
    return cells, good / due


def main() -> None:
    """Play and report; exit code 1 if cycles did not go on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, default=4)
    parser.add_argument("--interval", type=int, default=10)
    parser.add_argument("--phase", type=float, default=60.0, help="in s")
    given = parser.parse_args()
    os.chdir(PROJECT)
    with scene(given.sites, given.interval) as found:
        play(found, given.phase)
        good = report(found)
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
