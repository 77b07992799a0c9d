"""What the Easee cloud answers beside its documents: refusals, how long they last, its clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
from pydantic import ValidationError

from easee_load_balancer.easee_models import Problem
from easee_load_balancer.session import Session

_COOL_DOWN_S = 120.0
_LOGIN_COOL_DOWN_S = 24 * 3600.0
_REFUSED_COOL_DOWN_S = 60.0
_FIRST_BLOCK_S, _LONGEST_BLOCK_S = 600.0, 24 * 3600.0
_CLOCKS_AGREE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came."""

    status: int
    headers: httpx.Headers
    content: bytes = field(repr=False)

    @property
    def turns_us_away(self) -> bool:
        """Blocked (a block answers 403, or redirects to a black hole), or asked too often."""
        codes = (httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS)
        return self.status in codes or httpx.codes.is_redirect(self.status)


def note_refusal(session: Session, endpoint: str, answer: Answer) -> None:
    """Write down for how long a refusal keeps us away."""
    now = datetime.now(UTC)
    if answer.status == httpx.codes.FORBIDDEN or httpx.codes.is_redirect(answer.status):
        session.blocked_s = min(2 * session.blocked_s or _FIRST_BLOCK_S, _LONGEST_BLOCK_S)
        session.blocked_until = now + timedelta(seconds=session.blocked_s)
    elif answer.status == httpx.codes.TOO_MANY_REQUESTS:
        default_s = _LOGIN_COOL_DOWN_S if endpoint == "login" else _COOL_DOWN_S
        session.cool_down[endpoint] = now + _retry_after(answer.headers, now, default_s)
    elif answer.status == httpx.codes.UNAUTHORIZED:
        session.cool_down[endpoint] = now + timedelta(seconds=_REFUSED_COOL_DOWN_S)
    elif "Retry-After" in answer.headers:
        session.cool_down[endpoint] = now + _retry_after(answer.headers, now, _COOL_DOWN_S)
    else:
        return
    session.noted_at[endpoint] = session.noted_at["all"] = now


def clock_ahead(headers: httpx.Headers) -> timedelta:
    """How far our clock is ahead of the answer's; 0 where they agree within seconds."""
    try:
        ahead = datetime.now(UTC) - parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError):
        return timedelta()
    return ahead if abs(ahead) > _CLOCKS_AGREE else timedelta()


def _retry_after(headers: httpx.Headers, now: datetime, default_s: float) -> timedelta:
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


def problem_of(content: bytes) -> Problem:
    """What an error answer says; an empty problem where it says nothing that can be read."""
    try:
        return Problem.model_validate_json(content)
    except ValidationError:
        return Problem()
