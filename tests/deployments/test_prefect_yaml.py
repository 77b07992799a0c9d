"""prefect.yaml as it stands: Prefect ignores what it does not know, so every key is checked.

So are the settings in prefect.toml.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import yaml
from housekeeping import DELETED_TAGS
from prefect import Task
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.exceptions import ParameterTypeError
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.settings import Settings

from easee_load_balancer.orchestration.time_zone_variable import TIME_ZONE
from easee_load_balancer.orchestration.worker.run_states import CYCLE_TAG, RESUMED_TAG
from tests.support.paths import PROJECT

TOP_KEYS = {"name", "pull", "definitions", "deployments"}
DEPLOYMENT_KEYS = {
    "name",
    "entrypoint",
    "description",
    "tags",
    "parameters",
    "work_pool",
    "schedules",
}
ON_REQUEST = {"backtest", "boost", "discover", "limit", "plan", "ready_by"}
SCHEDULE_KEYS = {"slug", "timezone", "active"}


def _load() -> dict[str, Any]:
    text = (PROJECT / "prefect.yaml").read_text()
    text = text.replace(f'"{{{{ prefect.variables.{TIME_ZONE} }}}}"', "Europe/Stockholm")
    assert "prefect.variables" not in text
    project: dict[str, Any] = yaml.safe_load(text)
    return project


def _leaves(table: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The keys of a TOML table with dots, and their values."""
    for key, value in table.items():
        path = (*above, key)
        if isinstance(value, dict):
            yield from _leaves(value, path)
        else:
            yield ".".join(path), value


DEPLOYMENTS = {one["entrypoint"].rpartition(":")[2]: one for one in _load()["deployments"]}


def test_top_level_keys() -> None:
    assert set(_load()) == TOP_KEYS


def test_what_is_deployed() -> None:
    assert set(DEPLOYMENTS) == {"balance", "daily_summary", "housekeeping"} | ON_REQUEST
    assert DEPLOYMENTS["balance"]["schedules"][0]["interval"] == 30
    assert {name for name, one in DEPLOYMENTS.items() if "schedules" not in one} == ON_REQUEST
    assert [name for name, one in DEPLOYMENTS.items() if CYCLE_TAG in one["tags"]] == ["balance"]
    assert (CYCLE_TAG, *DEPLOYMENTS["housekeeping"]["tags"]) == DELETED_TAGS


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_has_the_usual_keys_and_parameters_that_its_flow_takes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = DEPLOYMENTS[name]
    assert set(deployment) | {"schedules"} == DEPLOYMENT_KEYS
    assert set(deployment["work_pool"]) == {"name"}
    monkeypatch.chdir(PROJECT)
    flow: Flow[..., Any] = load_flow_from_entrypoint(deployment["entrypoint"])
    assert flow.name == name
    assert flow.validate_parameters(deployment["parameters"])


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_results_are_never_pickled_to_disk(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    flow: Flow[..., Any] = load_flow_from_entrypoint(DEPLOYMENTS[name]["entrypoint"])
    steps: list[Any] = [one for one in flow.fn.__globals__.values() if isinstance(one, Task)]
    assert steps
    assert [one.persist_result for one in [flow, *steps]] == [False] * (1 + len(steps))


@pytest.mark.parametrize("site", ["../../etc/cron", "home.csv", "", "Home", "a" * 61, "a\nb"])
def test_a_site_is_the_name_of_a_block(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    for name in ("balance", "daily_summary", "discover"):
        flow: Flow[..., Any] = load_flow_from_entrypoint(DEPLOYMENTS[name]["entrypoint"])
        with pytest.raises(ParameterTypeError):
            flow.validate_parameters({"site": site})


@pytest.mark.parametrize("name", sorted(set(DEPLOYMENTS) - ON_REQUEST))
def test_a_schedule_is_active_and_of_a_kind_that_prefect_knows(name: str) -> None:
    (schedule,) = DEPLOYMENTS[name]["schedules"]
    kind = {key: schedule[key] for key in schedule if key not in {"slug", "active"}}
    if "cron" in schedule:
        assert set(schedule) == SCHEDULE_KEYS | {"cron"}
        assert CronSchedule(**kind).timezone == schedule["timezone"]
    else:
        assert set(schedule) == SCHEDULE_KEYS | {"interval", "anchor_date"}
        assert IntervalSchedule(**kind).interval.total_seconds() == schedule["interval"]
    assert schedule["active"] is True
    assert schedule["slug"]


def test_what_people_have_asked_for_is_taken_up_again() -> None:
    resumed = {name for name, one in DEPLOYMENTS.items() if RESUMED_TAG in one["tags"]}
    assert resumed == {"boost", "ready_by", "limit"}


def test_no_flow_file_bears_the_name_of_a_module() -> None:
    """Their folder goes to the front of sys.path when a run starts."""
    for file in (PROJECT / "flows").glob("*.py"):
        assert not list(Path(yaml.__file__).parents[1].glob(f"{file.stem}*")), file
        assert not (PROJECT / file.stem).exists()


def test_every_package_is_pinned_without_an_address() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-fleet.txt"):
        for line in (PROJECT / name).read_text().splitlines():
            assert line == "-r requirements.txt" or line.count("==") == 1, line
            assert "/" not in line, line
            assert "@" not in line, line


SETTINGS = dict(_leaves(tomllib.loads((PROJECT / "prefect.toml").read_text())))


@pytest.mark.parametrize("name", SETTINGS)
def test_prefect_knows_the_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    monkeypatch.delenv("PREFECT_SERVER_ANALYTICS_ENABLED")
    in_force, wanted = attrgetter(name)(Settings()), SETTINGS[name]
    if isinstance(in_force, timedelta):
        in_force = in_force.total_seconds()
    assert in_force == (set(wanted) if isinstance(wanted, list) else wanted)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_form_explains_every_parameter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    flow: Flow[..., Any] = load_flow_from_entrypoint(DEPLOYMENTS[name]["entrypoint"])
    fields: dict[str, Any] = flow.parameters.properties
    assert set(DEPLOYMENTS[name]["parameters"]) <= set(fields)
    for parameter, field in fields.items():
        assert field["title"][0].isupper(), parameter
        assert field["description"], parameter
        assert "anyOf" not in field, f"the form shows tabs for {parameter}"
        if field.get("type") in ("string", "integer", "number") and "enum" not in field:
            assert field["examples"], parameter
        if field.get("type") in ("integer", "number"):
            assert {"minimum", "exclusiveMinimum"} & set(field), parameter
            assert "maximum" in field, parameter
