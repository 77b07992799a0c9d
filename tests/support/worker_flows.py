"""Flows for the worker to run."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Cancelled, Completed

from easee_load_balancer.orchestration.worker.offline import due_alone


@flow
async def good() -> State[None]:
    """Says where it ran."""
    return Completed(message=threading.current_thread().name)


@flow
async def raises() -> None:
    """Fails."""
    raise ValueError("no such luck")


@flow(timeout_seconds=0.5)
async def hangs() -> None:
    """Never ends by itself."""
    await asyncio.sleep(60)


@flow
async def slow() -> None:
    """Takes its time."""
    await asyncio.sleep(60)


@flow
def blocks(seconds: float) -> State[None]:
    """A sync flow, which keeps its thread busy."""
    time.sleep(seconds)
    return Completed(message=threading.current_thread().name)


@flow
async def cycle(diary: str) -> State[None]:
    """Writes down when it was due, and whether it ran without Prefect, unless it did before."""
    alone, context = due_alone(), FlowRunContext.get()
    due = alone
    if due is None and context is not None and context.flow_run is not None:
        due = context.flow_run.expected_start_time
    at = (due or datetime.now(UTC)).timestamp()
    if _written_newer(Path(diary), at):
        return Cancelled(name="Superseded", message="superseded: a newer cycle has run already")
    _write(Path(diary), f"{at} {'prefect' if alone is None else 'alone'} {time.time() - at:.1f}")
    return Completed(message="done")


def _written_newer(diary: Path, at: float) -> bool:
    dues = [float(line.split()[0]) for line in diary.read_text().splitlines()]
    return any(at <= due <= time.time() for due in dues)


def _write(diary: Path, line: str) -> None:
    with diary.open("a") as out:
        out.write(f"{line}\n")
