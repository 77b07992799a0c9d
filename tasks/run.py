"""What a flow run knows and says about itself."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect import get_client, get_run_logger
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger
from prefect.states import Cancelled, Completed, Failed

from easee_load_balancer.orchestration.worker.offline import offline_due, part

_LONGEST_NAME = 180
SENTENCE_ENDS = re.compile(r"(?<=[.?!]) (?=[A-Z'\"`])")
"""The spaces between sentences."""


@dataclass(frozen=True, slots=True)
class Run:
    """The run of this cycle: when it was due, when it began."""

    id: UUID | None
    """The flow run; None without Prefect."""
    scheduled_at: datetime
    started_at: datetime

    @classmethod
    def current(cls) -> Run:
        """The run in which this is called. Raises MissingContextError outside of a flow."""
        offline_at = offline_due()
        if offline_at is not None:
            return cls(id=None, scheduled_at=offline_at, started_at=datetime.now(UTC))
        context = FlowRunContext.get()
        if context is None or context.flow_run is None:
            raise MissingContextError("a cycle is a flow run: call the flow, not its function")
        now = datetime.now(UTC)
        due = context.flow_run.expected_start_time
        scheduled_at = datetime.fromtimestamp(due.timestamp(), UTC) if due else now
        return cls(id=context.flow_run.id, scheduled_at=scheduled_at, started_at=now)

    @property
    def delay(self) -> timedelta:
        """How much later than due it began."""
        return self.started_at - self.scheduled_at

    @property
    def alone(self) -> bool:
        """Whether it runs without Prefect."""
        return self.id is None

    def log(self, line: str, error: Exception | None = None) -> None:
        """Tell the log of the run, with the site where it is one of several."""
        logger = get_logger("cycles") if self.alone else get_run_logger()
        line = f"{part()}: {line}" if part() else line
        if error is None:
            logger.info("%s", line)
        else:
            logger.error("%s", line, exc_info=error)


async def name_run(name: str) -> None:
    """Name the present flow run; nothing without Prefect, and for a part of a run."""
    run_id = Run.current().id
    if run_id is not None and not part():
        async with get_client() as client:
            await client.update_flow_run(run_id, name=run_name(name))


def run_name(text: str) -> str:
    """The text as the name of a run: whole sentences, as many as fit; else cut between words."""
    text = " ".join(text.split()) or "nothing to do"
    if len(text) <= _LONGEST_NAME:
        return text
    ends = [one.start() for one in SENTENCE_ENDS.finditer(text) if one.start() <= _LONGEST_NAME]
    if ends:
        return text[: ends[-1]]
    shown = text[: _LONGEST_NAME - 4]
    return f"{shown.rpartition(' ')[0] or shown} ..."


async def end_as(state: State[Any]) -> State[Any]:
    """Name the flow run after what its final state says, and return that state."""
    await name_run(state.message or "")
    return state


async def completed(message: str, data: Any, name: str | None = None) -> State[Any]:
    """The cycle did what it should."""
    return await end_as(Completed(message=message, data=data, name=name or "Completed"))


async def failed(message: str) -> State[Any]:
    """The cycle could not do what it should; the message says what to do."""
    return await end_as(Failed(message=message))


def _superseded_is_no_error(record: logging.LogRecord) -> bool:
    """Prefect logs every end that is not Completed as an error."""
    if record.getMessage().startswith("Finished in state Superseded"):
        record.levelno, record.levelname = logging.INFO, "INFO"
    return True


logging.getLogger("prefect.flow_runs").addFilter(_superseded_is_no_error)


async def superseded(why: str) -> State[Any]:
    """The cycle was not needed any more and touched nothing."""
    return await cancelled(f"superseded: {why}", name="Superseded")


async def cancelled(message: str, name: str = "Cancelled") -> State[Any]:
    """What was under way is not wanted any more."""
    return await end_as(Cancelled(name=name, message=message))
