"""Further sites: deployments of their own, made from those of the site `home`.

Prefect's CLI deploys prefect.yaml for `home`; a further site gets copies of what the server then
has, so that a hundred sites take seconds. Start times are spread, steady for each site.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    DeploymentUpdate,
    WorkPoolCreate,
)
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import SCHEDULE_TYPES, CronSchedule, IntervalSchedule
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.variables import Variable

from easee_load_balancer.orchestration.other_chargers import OtherChargers
from easee_load_balancer.orchestration.own_addresses import HOME
from easee_load_balancer.orchestration.time_zone_variable import zone_variable
from easee_load_balancer.orchestration.worker.run_states import CYCLE_TAG

HOUSEKEEPING, _OVERVIEW = "Housekeeping", "Overview"
_OVERVIEW_CRON = "*/5 * * * *"
_AT_ONCE = 200
CHARGER_FIELD = "charger"
"""The parameter that names one of several chargers."""
_NIGHT_MINUTES = 110
"""Daily summaries are spread over this long: after midnight, and before clocks change."""


def all_deployments(client: SyncPrefectClient) -> list[DeploymentResponse]:
    """All deployments; the server returns 200 at once."""
    found = page = client.read_deployments(limit=_AT_ONCE)
    while len(page) == _AT_ONCE:
        page = client.read_deployments(limit=_AT_ONCE, offset=len(found))
        found += page
    return found


def deployments_by_site(client: SyncPrefectClient) -> dict[str, list[DeploymentResponse]]:
    """All deployments that belong to a site."""
    found: dict[str, list[DeploymentResponse]] = {}
    for one in all_deployments(client):
        if site := one.parameters.get("site"):
            found.setdefault(str(site), []).append(one)
    return found


def pool_of(client: SyncPrefectClient, site: str) -> str | None:
    """The pool of the site's cycles; None where it is not deployed."""
    return _pool(deployments_by_site(client).get(site, []))


def deploy_sites(
    client: SyncPrefectClient, sites: Iterable[str] = (), pool: str | None = None
) -> list[str]:
    """Copy the deployments of `home` for these sites and those that have some; their names.

    `pool`: where these sites' runs go; if None, where they went before, at first where home's go.
    Intervals, pauses and what else the owner has changed of a schedule stay as they are.
    """
    known, wanted = deployments_by_site(client), set(sites)
    templates = known.get(HOME, [])
    names = sorted((wanted | known.keys()) - {HOME})
    for site in names:
        before = {one.name: one for one in known.get(site, [])}
        target = (pool if site in wanted else None) or _pool(before.values()) or _pool(templates)
        if target is not None:
            _create_pool(client, target, _pool(templates))
        zone = _zone(site)
        for template in templates:
            _copy(client, template, site, target, zone, before.get(f"{template.name} {site}"))
    if names:
        deploy_common(client)
    return names


def fit_forms(client: SyncPrefectClient) -> None:
    """Forms ask for a charger only where a site has several; checked after each deployment."""
    for site, deployments in deployments_by_site(client).items():
        asking = [one for one in deployments if CHARGER_FIELD in _fields(one)]
        if not asking or _has_several(client, site):
            continue
        for one in asking:
            fields = {name: each for name, each in _fields(one).items() if name != CHARGER_FIELD}
            schema = (one.parameter_openapi_schema or {}) | {"properties": fields}
            client.update_deployment(one.id, DeploymentUpdate(parameter_openapi_schema=schema))


def _fields(deployment: DeploymentResponse) -> dict[str, Any]:
    """What the deployment's form asks for."""
    return dict((deployment.parameter_openapi_schema or {}).get("properties", {}))


def _has_several(client: SyncPrefectClient, site: str) -> bool:
    try:
        block = client.read_block_document_by_name(site, OtherChargers.get_block_type_slug())
    except ObjectNotFound:
        return False
    return bool((block.data or {}).get("chargers"))


def deploy_common(client: SyncPrefectClient) -> None:
    """Housekeeping and the overview, where most cycles run and so certainly a worker."""
    all_of_them = all_deployments(client)
    cycles = [one for one in all_of_them if CYCLE_TAG in one.tags and not one.paused]
    housekeeping = next((one for one in all_of_them if one.name == HOUSEKEEPING), None)
    if housekeeping is None or not cycles:
        return
    [(pool, _)] = Counter(one.work_pool_name for one in cycles).most_common(1)
    common = [one for one in all_of_them if one.name in (HOUSEKEEPING, _OVERVIEW)]
    for one in common:
        client.update_deployment(one.id, DeploymentUpdate(work_pool_name=pool))
    if len(common) > 1:
        return
    zone = cycles[0].parameters.get("time_zone")
    often = CronSchedule(cron=_OVERVIEW_CRON, timezone=zone)
    client.create_deployment(
        client.create_flow_from_name("overview"),
        _OVERVIEW,
        description="Shows all sites on one page.",
        entrypoint="flows/overview.py:overview",
        tags=housekeeping.tags,
        parameters={"time_zone": zone},
        schedules=[DeploymentScheduleCreate(schedule=often, slug="often", active=True)],
        work_pool_name=pool,
        path=housekeeping.path,
        pull_steps=housekeeping.pull_steps,
    )


def pause_home(client: SyncPrefectClient, *, paused: bool) -> None:
    """Pause home's deployments, or let them run again: nobody may live at `home`."""
    for one in deployments_by_site(client).get(HOME, []):
        client.update_deployment(one.id, DeploymentUpdate(paused=paused))


def part_of(site: str) -> float:
    """Where in an interval the site's cycles start: from 0 up to 1, and 0 for `home`."""
    if site == HOME:
        return 0.0
    return int.from_bytes(hashlib.sha256(site.encode()).digest()[:8]) / 2**64


def spread(schedule: SCHEDULE_TYPES, site: str, zone: str | None = None) -> SCHEDULE_TYPES:
    """Home's schedule with the site's own start in each interval, or in the night."""
    change: dict[str, Any] = {} if zone is None else {"timezone": zone}
    if isinstance(schedule, IntervalSchedule):
        after_s = int(part_of(site) * schedule.interval.total_seconds())
        change["anchor_date"] = schedule.anchor_date + timedelta(seconds=after_s)
    elif isinstance(schedule, CronSchedule):
        minute, hour, *days = schedule.cron.split()
        if minute.isdecimal() and hour.isdecimal():
            at = int(hour) * 60 + int(minute) + int(part_of(site) * _NIGHT_MINUTES)
            change["cron"] = " ".join([f"{at % 60} {at // 60 % 24}", *days])
    return schedule.model_copy(update=change)


def unspread(schedule: SCHEDULE_TYPES) -> SCHEDULE_TYPES:
    """The schedule with its cycles at full intervals, as home's are."""
    if not isinstance(schedule, IntervalSchedule):
        return schedule
    after_s = schedule.anchor_date.timestamp() % schedule.interval.total_seconds()
    anchor = schedule.anchor_date - timedelta(seconds=after_s)
    return schedule.model_copy(update={"anchor_date": anchor})


def _copy(
    client: SyncPrefectClient,
    template: DeploymentResponse,
    site: str,
    pool: str | None,
    zone: str | None,
    before: DeploymentResponse | None,
) -> None:
    own = {"site": site} | ({"time_zone": zone} if zone else {})
    fields: dict[str, Any] = {
        "description": template.description,
        "parameters": template.parameters | {k: own[k] for k in own if k in template.parameters},
        "tags": [site if tag == HOME else tag for tag in template.tags],
        "work_pool_name": pool,
        "path": template.path,
        "entrypoint": template.entrypoint,
        "parameter_openapi_schema": template.parameter_openapi_schema,
        "pull_steps": template.pull_steps,
    }
    known = {one.slug: one for one in before.schedules} if before else {}
    schedules = {
        one.slug: _own_schedule(one.schedule, site, zone, known.get(one.slug))
        for one in template.schedules
    }
    if before is None:
        created = [
            DeploymentScheduleCreate(schedule=schedule, slug=slug, active=True)
            for slug, schedule in schedules.items()
        ]
        name = f"{template.name} {site}"
        client.create_deployment(template.flow_id, name, schedules=created, **fields)
    else:
        if schedules:
            fields["schedules"] = [
                DeploymentScheduleUpdate(schedule=schedule, slug=slug)
                for slug, schedule in schedules.items()
            ]
        client.update_deployment(before.id, DeploymentUpdate(**fields))


def _own_schedule(
    schedule: SCHEDULE_TYPES, site: str, zone: str | None, before: DeploymentSchedule | None
) -> SCHEDULE_TYPES:
    if isinstance(schedule, IntervalSchedule) and before is not None:
        was = before.schedule
        if isinstance(was, IntervalSchedule):
            schedule = schedule.model_copy(update={"interval": was.interval})
    return spread(schedule, site, zone)


def _create_pool(client: SyncPrefectClient, name: str, like: str | None) -> None:
    if like is None or name == like:
        return
    pool = client.read_work_pool(like)
    with suppress(ObjectAlreadyExists):
        client.create_work_pool(
            WorkPoolCreate(name=name, type=pool.type, base_job_template=pool.base_job_template)
        )


def _pool(deployments: Iterable[DeploymentResponse]) -> str | None:
    """The pool of the cycles among them."""
    return next((one.work_pool_name for one in deployments if CYCLE_TAG in one.tags), None)


def _zone(site: str) -> str | None:
    """The site's own time zone; None: that of home."""
    zone = Variable.get(zone_variable(site))
    return None if zone is None else str(zone)
