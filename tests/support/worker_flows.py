"""Flows for the worker to run."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Cancelled, Completed

from easee_load_balancer.orchestration.worker.offline import offline_due


@flow
async def good() -> State[None]:
    """Returns the name of its thread."""
    return Completed(message=threading.current_thread().name)


@flow
async def apart(seconds: float = 0) -> State[None]:
    """Returns the number of its process."""
    await asyncio.sleep(seconds)
    return Completed(message=str(os.getpid()))


@flow
async def raises() -> None:
    """Fails."""
    raise ValueError("no such luck")


@flow(timeout_seconds=0.5)
async def hangs() -> None:
    """Runs into its timeout."""
    await asyncio.sleep(60)


@flow
async def slow() -> None:
    """Runs for ten minutes."""
    await asyncio.sleep(600)


@flow
def blocks(until_file: str) -> State[None]:
    """A sync flow that blocks its thread until the file exists."""
    while not Path(until_file).exists():
        time.sleep(0.05)
    return Completed(message=threading.current_thread().name)


@flow
async def cycle(diary: str) -> State[None]:
    """Writes down when it was due and whether it ran offline, unless it ran before."""
    due, context = offline_due(), FlowRunContext.get()
    how = "prefect" if due is None else "offline"
    if due is None and context is not None and context.flow_run is not None:
        due = context.flow_run.expected_start_time
    at = (due or datetime.now(UTC)).timestamp()
    if _written_newer(Path(diary), at):
        return Cancelled(name="Superseded", message="superseded: a newer cycle has run already")
    _append(Path(diary), f"{at} {how}\n")
    return Completed(message="done")


def _written_newer(diary: Path, at: float) -> bool:
    dues = [float(line.split()[0]) for line in diary.read_text().splitlines()]
    return bool(dues) and at <= dues[-1] <= time.time()


def _append(diary: Path, line: str) -> None:
    with diary.open("a") as out:
        out.write(line)
