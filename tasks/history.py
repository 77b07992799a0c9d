"""Loading and recording cycles."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.devices.connections import CONNECTIONS
from easee_load_balancer.devices.easee.models import Account
from easee_load_balancer.errors import HistoryError
from easee_load_balancer.history.quarters import KEPT
from easee_load_balancer.history.store import History, open_history
from easee_load_balancer.history.tables import (
    BoostRow,
    Cycle,
    DimmingRow,
    QuarterRow,
    ReadyByRow,
)
from easee_load_balancer.history.write_buffer import WriteBuffer, open_write_buffer
from easee_load_balancer.system.settings import Settings
from tasks.step import step

_TIMEOUT_S = 7.0
_SLOW_S, _REST_S = 2.0, 15.0
"""A site whose state was not loaded within the first does without the history for the second."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class StoredState:
    """What a cycle takes over from the ones before."""

    last: Cycle | None
    """The cycle that ran last."""
    boost: BoostRow | None = None
    """The active boost."""
    departure: ReadyByRow | None = None
    """The active departure that was asked for."""
    dimming: DimmingRow | None = None
    """The active limit of the car's power."""


_LOADED: dict[tuple[str, str], StoredState] = {}
"""What was last loaded, by history and site; nothing where several workers share the sites."""
_RESTING: dict[tuple[str, str], tuple[float, str]] = {}
"""Until when a site does without that history, and why."""


@step(name="load state", timeout_seconds=8)
async def load_state(site: str) -> StoredState:
    """The cycle that ran last, and what is asked for at present.

    When this fails and took seconds, the rest of the cycle does not ask the history: the charger is
    waiting.
    """
    settings, began_s = Settings(), time.monotonic()
    key, shared = (settings.database_url, site), settings.shared_pool
    try:
        loaded = await in_time(
            site,
            lambda history: StoredState(
                _write_buffer().last_cycle(site, shared=shared), *history.requests(site)
            ),
        )
    except HistoryError as error:
        if time.monotonic() - began_s > _SLOW_S:
            _RESTING[key] = time.monotonic() + _REST_S, str(error)
        raise
    if not shared:
        _LOADED[key] = loaded
    return loaded


def state_in_memory(site: str) -> StoredState:
    """What this process remembers while the history is unavailable."""
    loaded = _LOADED.get((Settings().database_url, site), StoredState(None))
    return replace(loaded, last=_write_buffer().last_known(site))


def state_before(past: StoredState, now: datetime, *, lost: bool) -> ControllerState:
    """The state that the last cycle left; `lost` when it cannot be read and is not known here."""
    if past.last is None:
        return ControllerState.lost(now) if lost else ControllerState()
    return ControllerState.model_validate(past.last.controller_state)


@step(name="record cycle", timeout_seconds=8)
async def record_cycle(cycle: Cycle, account: Account, parts: Sequence[Cycle] = ()) -> None:
    """Store the cycle and the number of calls to the cloud; storing it again replaces it.

    `parts`: the cycles of each of several chargers. If this fails, the next cycle stores it.
    """
    cloud = await CONNECTIONS.easee(account, Settings().folder)
    calls = cloud.calls.copy()
    await _limited(lambda: _write_buffer().record(*parts, cycle, calls=calls))
    cloud.calls -= calls


async def in_time(site: str, use: Callable[[History], _T]) -> _T:
    """Use the history within a cycle of the site, in a thread.

    Raises HistoryError after a time-out, when the thread goes on, and at once where the site's
    state could not be loaded just now.
    """
    url = Settings().database_url
    until_s, why = _RESTING.get((url, site), (0.0, ""))
    if time.monotonic() < until_s:
        raise HistoryError(why)
    return await _limited(lambda: use(open_history(url)))


async def use_history(use: Callable[[History], _T]) -> _T:
    """Use the history in a thread, for as long as it takes; opening it can take seconds, too."""
    url = Settings().database_url
    return await asyncio.to_thread(lambda: use(open_history(url)))


async def _limited(use: Callable[[], _T]) -> _T:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await asyncio.to_thread(use)
    except TimeoutError:
        raise HistoryError(
            f"The history did not respond within {_TIMEOUT_S:.0f} s. Is its disk or server busy?"
        ) from None


def known_quarters(
    history: History, site: str, filled_since: datetime, now: datetime
) -> list[QuarterRow]:
    """The means of all quarter-hours that are kept, by time; missing ones are added first.

    For use in a thread. Raises HistoryError.
    """
    history.quarters.fill(site, max(history.began(site) or now, filled_since), now)
    return history.quarters.since(site, now - KEPT)


def _write_buffer() -> WriteBuffer:
    return open_write_buffer(Settings().database_url)
