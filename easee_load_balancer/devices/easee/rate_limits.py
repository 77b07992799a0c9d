"""Rate limits of the Easee cloud: how often to call it, and when not to call it at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

import httpx

from easee_load_balancer.devices.easee.models import Account
from easee_load_balancer.devices.easee.token_store import CLOUD, Refusal, SavedSession
from easee_load_balancer.errors import (
    BadCredentials,
    Blocked,
    ChargerError,
    NotPermitted,
    RateLimited,
)
from easee_load_balancer.measurements import ChargerMode, ChargerState

Endpoint = Literal[
    "login",
    "refresh",
    "chargers",
    "site",
    "observations",
    "dynamicCurrent",
    "dynamicChargerCurrent",
    "stream",
]

_SLACK = timedelta(seconds=1)
"""A scheduled cycle may be this early."""
_OBSERVE_EVERY = timedelta(seconds=10)
_OBSERVE_NO_CAR_EVERY = timedelta(seconds=60)

_CLOCKS_AGREE = timedelta(seconds=5)
_HOUR_S, _DAY_S = 3600.0, 24 * 3600.0
_BLOCKED_S, _FORBIDDEN_S, _UNAUTHORIZED_S, _TOO_OFTEN_S = 600.0, 60.0, 60.0, 120.0
"""The first wait; each refusal in a row doubles it."""
_URGENT = timedelta(minutes=1)
_OF_LOGIN = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
_WORKED_RECENTLY = timedelta(minutes=10)
_READINGS = ("chargers", "site", "observations")


def too_soon(last: ChargerState, now: datetime, *, closely: bool = False) -> bool:
    """Whether it is too early to observe the charger again: every 10 s, without a car 60 s.

    `closely`: every 10 s without a car too, as one that is plugged in now would matter at once.
    """
    idle = last.online and last.mode is ChargerMode.DISCONNECTED and not closely
    every = _OBSERVE_NO_CAR_EVERY if idle else _OBSERVE_EVERY
    return timedelta(0) <= now - last.taken_at < every - _SLACK


def is_throttled(status: int) -> bool:
    """Blocked (403, or a redirect to a black hole) or called too often (429)."""
    codes = (httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS)
    return status in codes or httpx.codes.is_redirect(status)


def record_refusal(
    session: SavedSession,
    endpoint: Endpoint,
    status: int,
    headers: Mapping[str, str],
    worked_at: Mapping[str, datetime],
) -> None:
    """Record until when a refused endpoint, or the whole cloud, must not be called.

    A 403 while another reading works (`worked_at`: its last success) is about the login's role:
    only that endpoint waits. Otherwise it is a block, as is a redirect. Whatever the push stream
    answers, polling goes on.
    """
    now = datetime.now(UTC)
    of_role = status == httpx.codes.FORBIDDEN and any(
        name in _READINGS and name != endpoint and now - at < _WORKED_RECENTLY
        for name, at in worked_at.items()
    )
    blocks = status == httpx.codes.FORBIDDEN or httpx.codes.is_redirect(status)
    key: str = endpoint
    if of_role or (blocks and endpoint == "stream"):
        wait_s, longest_s = _FORBIDDEN_S, _HOUR_S
    elif blocks:
        key, wait_s, longest_s = CLOUD, _BLOCKED_S, _DAY_S
    elif status == httpx.codes.UNAUTHORIZED:
        wait_s, longest_s = _UNAUTHORIZED_S, _HOUR_S
    elif status == httpx.codes.TOO_MANY_REQUESTS or "Retry-After" in headers:
        # one answer may silence the readings for an hour at most, the login for a day
        most_s = _DAY_S if endpoint == "login" else _HOUR_S
        too_often = status == httpx.codes.TOO_MANY_REQUESTS
        default_s = most_s if too_often and endpoint == "login" else _TOO_OFTEN_S
        wait_s = _retry_after_s(headers, now, default_s, most_s)
        longest_s = _DAY_S if too_often else _HOUR_S
    else:
        return
    if key in session.refusals:
        wait_s = min(max(wait_s, 2 * session.refusals[key].wait_s), longest_s)
    until = now + timedelta(seconds=wait_s)
    session.refusals[key] = Refusal(status=status, until=until, noted_at=now, wait_s=wait_s)


def raise_if_throttled(
    session: SavedSession, endpoint: Endpoint, account: Account, *, urgent: bool = False
) -> None:
    """Raise BadCredentials, Blocked, NotPermitted or RateLimited while it must not be called.

    An urgent call waits a minute at most after the endpoint refused the login; a block of the whole
    cloud and the cloud's own waiting times count for it too.
    """
    now, cloud = datetime.now(UTC), cloud_of(account)
    if session.rejected_at is not None:
        raise BadCredentials(
            f"{cloud} rejected the user name or password of {account.user_name}. Correct them in "
            "the block 'Easee credentials' and save it; no further attempt until then."
        )
    for key in (CLOUD, endpoint):
        refusal = session.refusals.get(key)
        if refusal is not None and urgent and key != CLOUD and refusal.status in _OF_LOGIN:
            refusal = refusal.at_most(_URGENT)
        if refusal is not None and refusal.applies(now):
            raise _refused(cloud, key, refusal, f"next request {_local_time(refusal.until, now)}.")


def _refused(cloud: str, key: str, refusal: Refusal, again: str) -> ChargerError:
    """The error while a refusal applies."""
    status, until = refusal.status, refusal.until
    if key != CLOUD and status == httpx.codes.FORBIDDEN:
        return NotPermitted(
            f"{cloud} forbids '{key}' (403) but answers other requests: the role of this login "
            f"does not allow it. The site's owner can change the role in the Easee app; {again}",
            until,
        )
    if key != CLOUD and status == httpx.codes.UNAUTHORIZED:
        return RateLimited(f"{cloud} did not accept the login at '{key}' (401); {again}", until)
    if key != CLOUD and status != httpx.codes.TOO_MANY_REQUESTS:
        return RateLimited(f"{cloud} has asked to wait with '{key}' ({status}); {again}", until)
    if key != CLOUD:
        return RateLimited(f"{cloud}: '{key}' is rate-limited; {again}", until)
    if status == httpx.codes.FORBIDDEN:
        return Blocked(f"{cloud} blocks this account or address (403); {again}", until)
    return Blocked(
        f"{cloud} answers with a redirect ({status}), as it does to blocked addresses; {again}",
        until,
    )


def cloud_of(account: Account) -> str:
    """The cloud's name in messages."""
    return f"The Easee cloud at {account.base_url}"


def clock_ahead(headers: Mapping[str, str]) -> timedelta:
    """How far our clock is ahead of the answer's; 0 where they agree within seconds."""
    try:
        ahead = datetime.now(UTC) - parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError):
        return timedelta()
    return ahead if abs(ahead) > _CLOCKS_AGREE else timedelta()


def _retry_after_s(
    headers: Mapping[str, str], now: datetime, default_s: float, most_s: float
) -> float:
    """`Retry-After` in seconds or as a date, bounded."""
    text = headers.get("Retry-After", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            cloud_now = now - clock_ahead(headers)
            seconds = (parsedate_to_datetime(text) - cloud_now).total_seconds()
        except (ValueError, TypeError):
            seconds = default_s
    if math.isnan(seconds):
        seconds = default_s
    return min(max(seconds, 1.0), most_s)


def _local_time(moment: datetime, now: datetime) -> str:
    """Local time of day, with the date unless it is today."""
    local = moment.astimezone()
    return f"{local:%H:%M:%S}" if local.date() == now.astimezone().date() else f"{local:%F %H:%M}"
