"""Rate limits of the Easee cloud: how often to call it, and when not to call it at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

import httpx

from easee_load_balancer.devices.easee.models import Account
from easee_load_balancer.devices.easee.token_store import SavedSession
from easee_load_balancer.errors import BadCredentials, Blocked, RateLimited
from easee_load_balancer.measurements import ChargerMode, ChargerState

Endpoint = Literal["login", "refresh", "chargers", "site", "observations", "dynamicCurrent"]

_SLACK = timedelta(seconds=1)
"""A scheduled cycle may be this early."""
_OBSERVE_EVERY = timedelta(seconds=10)
_OBSERVE_NO_CAR_EVERY = timedelta(seconds=60)

_CLOCKS_AGREE = timedelta(seconds=5)
_COOL_DOWN_S = 120.0
_LOGIN_COOL_DOWN_S = 24 * 3600.0
_FIRST_REFUSED_S, _LONGEST_REFUSED_S = 60.0, 3600.0
_FIRST_BLOCK_S, _LONGEST_BLOCK_S = 600.0, 24 * 3600.0


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
    session: SavedSession, endpoint: Endpoint, status: int, headers: Mapping[str, str]
) -> None:
    """Record until when a refused endpoint, or the whole cloud, must not be called."""
    now = datetime.now(UTC)
    if status == httpx.codes.FORBIDDEN or httpx.codes.is_redirect(status):
        session.blocked_s = min(2 * session.blocked_s or _FIRST_BLOCK_S, _LONGEST_BLOCK_S)
        session.blocked_until = now + timedelta(seconds=session.blocked_s)
    elif status == httpx.codes.TOO_MANY_REQUESTS:
        default_s = _LOGIN_COOL_DOWN_S if endpoint == "login" else _COOL_DOWN_S
        session.cool_down[endpoint] = now + _retry_after(headers, now, default_s)
    elif status == httpx.codes.UNAUTHORIZED:
        session.refused_s = min(2 * session.refused_s or _FIRST_REFUSED_S, _LONGEST_REFUSED_S)
        session.cool_down[endpoint] = now + timedelta(seconds=session.refused_s)
    elif "Retry-After" in headers:
        session.cool_down[endpoint] = now + _retry_after(headers, now, _COOL_DOWN_S)
    else:
        return
    session.noted_at[endpoint] = session.noted_at["all"] = now


def raise_if_throttled(session: SavedSession, endpoint: Endpoint, account: Account) -> None:
    """Raise BadCredentials, Blocked or RateLimited while the endpoint must not be called."""
    now, cloud = datetime.now(UTC), cloud_of(account)
    if session.rejected_at is not None:
        raise BadCredentials(
            f"{cloud} rejected the user name or password of {account.user_name}. Correct them in "
            "the block 'Easee credentials' and save it; no further attempt until then."
        )
    blocked_until, until = session.blocked_until, session.cool_down.get(endpoint)
    if blocked_until is not None and session.still_applies("all", blocked_until, now):
        raise Blocked(
            f"{cloud} blocks this account or address (403); next request "
            f"{_local_time(blocked_until, now)}.",
            blocked_until,
        )
    if until is not None and session.still_applies(endpoint, until, now):
        raise RateLimited(
            f"{cloud}: '{endpoint}' is rate-limited; next request {_local_time(until, now)}.",
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


def _retry_after(headers: Mapping[str, str], now: datetime, default_s: float) -> timedelta:
    """`Retry-After` in seconds or as a date, bounded to a day."""
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
    return timedelta(seconds=min(max(seconds, 1.0), _LOGIN_COOL_DOWN_S))


def _local_time(moment: datetime, now: datetime) -> str:
    """Local time of day, with the date unless it is today."""
    local = moment.astimezone()
    return f"{local:%H:%M:%S}" if local.date() == now.astimezone().date() else f"{local:%F %H:%M}"
