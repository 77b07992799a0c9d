"""What became of the sites of a group, in one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.client.schemas.objects import State

from tasks.run import Run, completed, failed, superseded


async def end_group(ends: Mapping[str, State[Any] | BaseException]) -> State[Any]:
    """Log how each site's cycle ended, and end the run: failed if one of them has.

    Raises what ends a run from outside.
    """
    run = Run.current()
    done, busy, failures, attention = 0, 0, [], False
    for site, end in ends.items():
        if isinstance(end, State):
            said, good = end.message or "", end.is_completed()
            done, busy = done + good, busy + end.is_cancelled()
            attention = attention or end.name == "Attention"
            run.log(f"{site}: {end.name}. {said}")
        elif isinstance(end, TimeoutError):
            said, good = "its cycle took too long", False
        elif isinstance(end, Exception):
            said, good = f"unexpected error {end!r}", False
            run.log(f"{site}: {said}", error=end)
        else:
            raise end
        if not good and not (isinstance(end, State) and end.is_cancelled()):
            failures.append(f"{site}: {said}")
    summary = f"{done} of {len(ends)} sites done"
    summary += f", {busy} superseded" if busy else ""
    if failures:
        return await failed(f"{summary}, {len(failures)} failed. {' '.join(failures)}")
    if not done:
        return await superseded(summary)
    return await completed(summary, None, name="Attention" if attention else None)
