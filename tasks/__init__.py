"""The steps of the flows: time-outs, retries, names and tags; no arithmetic."""

from __future__ import annotations

import logging

from easee_load_balancer.errors import BalancerError


def _in_one_line(record: logging.LogRecord) -> bool:
    """Log an expected failure without its traceback: its message says it all."""
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    if isinstance(error, BalancerError):
        record.exc_info = record.exc_text = None
    return True


logging.getLogger("prefect.task_runs").addFilter(_in_one_line)
