"""A Prefect server, this project's deployments and a worker, as child processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.variables import Variable
from prefect.workers.base import BaseWorker
from prefect.workers.process import ProcessWorker

from easee_load_balancer.orchestration.blocks import BLOCKS
from easee_load_balancer.orchestration.sites import all_deployments, deploy_sites, fit_forms
from easee_load_balancer.orchestration.stack_environment import api_url, stack_environment
from easee_load_balancer.orchestration.time_zone_variable import TIME_ZONE
from easee_load_balancer.orchestration.worker.in_process import InProcessWorker
from easee_load_balancer.orchestration.worker.run_states import CYCLE_TAG
from easee_load_balancer.system.forked import Spare
from easee_load_balancer.system.processes import (
    Child,
    StartError,
    free_port,
    is_free,
    listener_on,
)

PoolType = Literal["in-process", "process"]
"""Flows run in the worker itself, or in a process each."""
_WORKERS: dict[PoolType, type[BaseWorker[Any, Any, Any]]] = {
    "in-process": InProcessWorker,
    "process": ProcessWorker,
}

POOL = "home"
"""The pool of prefect.yaml."""

_SERVER_START_S = _LONGEST_COMMAND_S = 120.0
_DEPLOYED = "easee_balancer_deployed"
"""Prefect variable with the fingerprint of what was deployed last."""
_RENAMED_SCHEDULES = {"every-30-s"}
"""Slugs of earlier versions."""


def run_prefect(project: Path, env: Mapping[str, str], *arguments: str) -> None:
    """Run a `prefect` command. Raises StartError with its output if it fails, or takes too long."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            env={**env, "PWD": str(project)},  # which prefect.yaml asks for, and only a shell sets
            cwd=project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LONGEST_COMMAND_S,
        )
    except subprocess.TimeoutExpired as error:
        raise StartError(
            f"`prefect {' '.join(arguments)}` took more than {_LONGEST_COMMAND_S:.0f} s. Is the "
            "machine busy, or its disk full?"
        ) from error
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise StartError(f"`prefect {' '.join(arguments)}` failed: {said}")


def deploy(
    project: Path,
    env: Mapping[str, str],
    pool: str = POOL,
    pool_type: PoolType = "in-process",
    sites: Iterable[str] = (),
    sites_pool: str | None = None,
) -> None:
    """Register the blocks, create the pool, and deploy prefect.yaml; intervals and pauses stay.

    `env` names the server. `sites` are further ones to deploy, in `sites_pool`; those that are
    deployed already are brought up to date. Raises StartError if a step fails.
    """
    template = _WORKERS[pool_type].get_default_base_job_template()
    wanted = WorkPoolCreate(name=pool, type=pool_type, base_job_template=template)
    api_url = {PREFECT_API_URL: env["PREFECT_API_URL"]}
    with temporary_settings(api_url), get_client(sync_client=True) as client:
        try:
            for block in BLOCKS:
                block.register_type_and_schema()
            client.create_work_pool(wanted, overwrite=True)
            before = {one.id: one.schedules for one in all_deployments(client)}
            run_prefect(project, env, "--no-prompt", "deploy", "--all")
            _keep_changes(client, before)
            _delete_renamed_schedules(client)
            deploy_sites(client, sites, sites_pool)
            fit_forms(client)
        except httpx.HTTPError as error:
            raise StartError(f"The Prefect server refuses the deployment: {error}") from error


def _keep_changes(
    client: SyncPrefectClient, before: Mapping[UUID, Sequence[DeploymentSchedule]]
) -> None:
    """Give schedules the interval and the pause back that their owner had set in the UI."""
    for one in all_deployments(client):
        was = before.get(one.id, ())
        paused = bool(was) and not any(known.active for known in was)
        intervals = [each.schedule for each in was if isinstance(each.schedule, IntervalSchedule)]
        for each in one.schedules:
            if each.active and paused:
                client.update_deployment_schedule(one.id, each.id, active=False)
            deployed = each.schedule
            if intervals and isinstance(deployed, IntervalSchedule):
                kept = deployed.model_copy(update={"interval": intervals[-1].interval})
                if kept != deployed:
                    client.update_deployment_schedule(one.id, each.id, schedule=kept)


def _delete_renamed_schedules(client: SyncPrefectClient) -> None:
    """Prefect keeps a schedule that prefect.yaml no longer names, and both would run."""
    for deployment in all_deployments(client):
        for schedule in deployment.schedules:
            if schedule.slug in _RENAMED_SCHEDULES:
                client.delete_deployment_schedule(deployment.id, schedule.id)


def start_cycles(client: SyncPrefectClient) -> None:
    """Start a cycle of each active schedule now, before it is next due."""
    tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=[CYCLE_TAG]))
    for one in client.read_deployments(deployment_filter=tagged):
        if not one.paused and any(schedule.active for schedule in one.schedules):
            client.create_flow_run_from_deployment(one.id, name=f"{one.name} at the start")


class PrefectStack:
    """A Prefect server with this project's deployments and a worker, in a folder of its own.

    Use as a context manager; leaving it ends everything.
    """

    def __init__(
        self,
        folder: Path,
        project: Path,
        port: int | None = None,
        data_folder: Path | None = None,
        spares: Mapping[str, Spare] | None = None,
    ) -> None:
        """`spares` are forks of this process that become `server` and `worker` when these are
        started first; this process then has to have the stack's environment.
        """
        self.folder = folder
        self.project = project
        self.port = port or free_port()
        self.api_url = api_url(self.port)
        self.ui_url = self.api_url.removesuffix("/api")
        self.data_folder = data_folder or folder / "data"
        self.server: Child | None = None
        self.worker: Child | None = None
        self.env = os.environ | stack_environment(folder, self.port, self.data_folder)
        self._spares = dict(spares or {})
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        self.data_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with ExitStack() as exit_on_error:
            exit_on_error.callback(self._exit.close)
            self.start_server()
            exit_on_error.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.worker is not None:
            self.worker.end()  # first, as it requeues its runs on the server
        self._exit.close()

    def start(self, name: str, *command: str) -> Child:
        """Start `python -m ...` as a child; it ends with the stack."""
        log = self.folder / f"{name}.log"
        spare = self._spares.pop(name, None)
        child = Child(name, command, self.env, self.project, log, spare)
        self._exit.callback(child.end)
        return child

    def deploy(self, pool: str = POOL, pool_type: PoolType = "in-process") -> None:
        """Register the blocks, create the pool, and deploy prefect.yaml."""
        deploy(self.project, self.env, pool, pool_type)

    def deploy_changes(self, client: SyncPrefectClient) -> None:
        """Deploy unless this code and prefect.yaml are deployed already, as that takes seconds.

        The settings have to name this server.
        """
        fingerprint = _fingerprint(self.project, str(Variable.get(TIME_ZONE)))
        if Variable.get(_DEPLOYED) != fingerprint or not client.read_deployments(limit=1):
            self.deploy()
            Variable.set(_DEPLOYED, fingerprint, overwrite=True)

    def start_worker(self, pool: str = POOL, pool_type: PoolType = "in-process") -> Child:
        """Start a worker for the pool."""
        self.worker = self.start(
            "worker", "prefect", "worker", "start", "--pool", pool, "--type", pool_type
        )
        return self.worker

    def rotate_logs(self) -> None:
        """Keep the logs of server and worker small; to be called every few seconds."""
        for child in (self.server, self.worker):
            if child is not None:
                child.rotate_log()

    def start_server(self) -> Child:
        """Start the server and wait until it answers.

        Raises StartError if it does not, or if something else listens on its port.
        """
        if not is_free(self.port):
            raise StartError(
                f"Port {self.port} is in use by {listener_on(self.port)}"
                f"{_what_answers(self.api_url)}. Stop it, or choose another --port."
            )
        server = self.start(
            "server", "easee_load_balancer.orchestration.server", "--port", str(self.port)
        )
        wait_for_server(server, self.api_url)
        self.server = server
        return server


def wait_for_server(server: Child, api_url: str) -> None:
    """Wait until it answers. Raises StartError if it ends before, or takes too long."""
    deadline = time.monotonic() + _SERVER_START_S
    while time.monotonic() < deadline:
        server.check()
        with suppress(httpx.TransportError):
            if httpx.get(f"{api_url}/health", timeout=2).is_success:
                return
        time.sleep(0.2)
    raise StartError(f"The Prefect server did not start; see {server.log}.")


def _fingerprint(project: Path, time_zone: str) -> str:
    """Changes with the folder of the project, its code, prefect.yaml and the time zone."""
    digest = hashlib.sha256(f"{project} {time_zone}".encode())
    for file in (project / "prefect.yaml", *sorted(project.glob("[eft]*/**/*.py"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _what_answers(api_url: str) -> str:
    """Whether that is a Prefect server, for a message."""
    try:
        is_prefect = httpx.get(f"{api_url}/health", timeout=2).text == "true"
    except httpx.HTTPError:
        is_prefect = False
    return ", a Prefect server" if is_prefect else ""
