"""The compose files: their services, commands and settings exist, and fit together."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import yaml
from prefect.settings import Settings as PrefectSettings
from prefect.settings.legacy import _get_valid_setting_names

from easee_load_balancer.system.settings import Settings
from tests.support.compose import FOLDER, Service, services
from tests.support.paths import PROJECT

FILES = sorted(FOLDER.glob("compose*.yaml"))
FLEET = services(FOLDER / "compose.fleet.yaml")
SERVERS = [one for one in FLEET.values() if "--only" in one.command]
EVENTS = {
    "PREFECT_MESSAGING_BROKER": "prefect_redis.messaging",
    "PREFECT_MESSAGING_CACHE": "prefect_redis.messaging",
    "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
}
"""What Prefect's documentation of several servers asks for."""

OURS = pytest.mark.parametrize(
    "service",
    [
        pytest.param(one, id=f"{file.stem}-{one.name}")
        for file in FILES
        for one in services(file).values()
        if one.name not in ("database", "redis")
    ],
)


@OURS
def test_its_settings_exist(service: Service) -> None:
    own = {f"EASEE_BALANCER_{name.upper()}" for name in Settings.model_fields}
    known = own | _get_valid_setting_names(PrefectSettings) | {"TZ"}
    redis = {name for name in service.environment if name.startswith("PREFECT_REDIS_MESSAGING_")}
    assert set(service.environment) - redis <= known


@OURS
def test_the_command_of_each_service_exists(service: Service) -> None:
    program, *rest = service.command or ("python", "-m", "easee_load_balancer.cli")
    if program == "python":
        assert importlib.util.find_spec(rest[1]) is not None
    else:
        assert (program, rest[:2]) == ("prefect", ["worker", "start"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_services_and_volumes_that_are_named_exist(file: Path) -> None:
    document = yaml.safe_load(file.read_text())
    for one in services(file).values():
        assert set(one.depends_on) <= set(document["services"])
        for source in (volume.split(":")[0] for volume in one.volumes):
            assert source in document["volumes"] or (FOLDER / source).exists()


def test_servers_of_a_fleet_share_all_settings_but_their_address() -> None:
    address = {"PREFECT_UI_API_URL", "EASEE_BALANCER_SERVER_NAMES"}
    shared = [
        {name: value for name, value in one.environment.items() if name not in address}
        for one in SERVERS
    ]
    assert [one.command[one.command.index("--only") + 1] for one in SERVERS] == [
        *("tables", "services", "api", "api")
    ]
    assert all(one == shared[0] for one in shared)
    assert EVENTS.items() <= shared[0].items()


def test_each_worker_of_a_fleet_has_a_server_that_takes_its_name() -> None:
    workers = [one for one in FLEET.values() if one.name.startswith("worker")]
    for one in workers:
        [name] = re.findall(r"http://([\w-]+):4200/api", one.environment["PREFECT_API_URL"])
        assert FLEET[name].environment["EASEE_BALANCER_SERVER_NAMES"] == name
        assert one.environment["EASEE_BALANCER_SHARED_POOL"] == "true"
    assert len({one.environment["PREFECT_API_URL"] for one in workers}) == len(workers) == 2


def test_a_normal_installation_has_nothing_of_a_fleet() -> None:
    def pinned(file: str) -> list[str]:
        return re.findall("(?m)^([a-zA-Z][^=]*)==", (PROJECT / file).read_text())

    assert pinned("requirements-fleet.txt") == ["prefect-redis"]
    assert "prefect-redis" not in pinned("requirements.txt") + pinned("requirements-dev.txt")
