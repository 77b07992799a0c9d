"""Scheduled runs named after their deployment and when they are due, not by random words.

A run has this name while it waits; at its end, its flow names it after what it has done. Prefect
has no setting for it. Named where they are created, runs cost no further request.
"""

from __future__ import annotations

from typing import Any

from prefect.server import models


def name_scheduled_runs() -> None:
    """Name the runs that this process schedules; before the server starts."""
    deployments: Any = models.deployments
    generate = deployments._generate_scheduled_flow_runs

    async def generate_named(db: Any, **options: Any) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = await generate(db, **options)
        if runs:
            deployment = await options["session"].get(db.Deployment, options["deployment_id"])
            for run in runs:
                run["name"] = f"{deployment.name} at {run['expected_start_time']:%H:%M:%S}"
        return runs

    deployments._generate_scheduled_flow_runs = generate_named
