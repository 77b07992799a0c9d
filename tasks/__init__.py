"""The steps of the flows: time-outs, retries and names; no arithmetic."""

from __future__ import annotations

import logging

from easee_load_balancer.errors import BalancerError

_CHATTER = ("Beginning flow run", "Finished in state Completed", "View at ")
"""What the engine says of each run that goes well; states and names say it already."""


def _worth_a_line(record: logging.LogRecord) -> bool:
    """Drop chatter, and tell an expected failure without its traceback: its message says it all."""
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    if isinstance(error, BalancerError):
        record.exc_info = record.exc_text = None
    return not str(record.msg).startswith(_CHATTER)


for _name in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_name).addFilter(_worth_a_line)
