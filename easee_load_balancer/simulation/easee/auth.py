"""Authentication and rate limits: expiring tokens, single-use refresh tokens."""

from __future__ import annotations

import math
import secrets
from collections import deque
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from easee_load_balancer.simulation.easee.problems import Problem

_BAD_LOGINS = 5
_BAD_LOGINS_WITHIN_S = 600.0
_BLOCKED_S = 86_400


class Credentials(BaseModel):
    """The body of a login."""

    model_config = ConfigDict(strict=True)

    user_name: str = Field(alias="userName")
    password: str


class TokenPair(BaseModel):
    """The body of a refresh."""

    model_config = ConfigDict(strict=True)

    access_token: str = Field(alias="accessToken")
    refresh_token: str = Field(alias="refreshToken")


class TokenIssuer:
    """Issues and checks the account's tokens. Callers pass times in monotonic seconds."""

    def __init__(self, account: tuple[str, str], lifetime_s: float, blocks: bool) -> None:
        self.logins = 0
        self.refreshes = 0
        self._account = account
        self._lifetime_s = lifetime_s
        self._blocks = blocks
        self._valid_until_s: dict[str, float] = {}
        self._access_of_refresh: dict[str, str] = {}
        self._bad_logins_s: deque[float] = deque(maxlen=_BAD_LOGINS)
        self._blocked_until_s = -math.inf

    def login(self, credentials: Credentials, now_s: float) -> dict[str, Any]:
        """New tokens. Raises Problem: 400 wrong user or password, 429 after too many of them."""
        if now_s < self._blocked_until_s:
            self._blocked_until_s = now_s + _BLOCKED_S
            raise Problem(429, "Too many bad logins.", retry_after_s=_BLOCKED_S)
        if (credentials.user_name, credentials.password) != self._account:
            self._count_bad_login(now_s)
            raise Problem(
                400,
                "The user name or the password is wrong.",
                code=(100, "InvalidUserNameOrPassword"),
            )
        self.logins += 1
        return self._issue(now_s)

    def refresh(self, pair: TokenPair, now_s: float) -> dict[str, Any]:
        """New tokens for the last pair, once. Raises Problem 401 for any other pair."""
        if self._access_of_refresh.get(pair.refresh_token) != pair.access_token:
            raise Problem(401, "The refresh token is not valid.", code=(104, "InvalidRefreshToken"))
        del self._access_of_refresh[pair.refresh_token]
        self.refreshes += 1
        return self._issue(now_s)

    def check(self, authorization: str | None, now_s: float) -> str:
        """The token of an Authorization header. Raises Problem 401 unless it is valid."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or now_s >= self._valid_until_s.get(token, -math.inf):
            raise Problem(401, "The access token is missing, unknown or expired.")
        return token

    def _issue(self, now_s: float) -> dict[str, Any]:
        access, refresh = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self._valid_until_s[access] = now_s + self._lifetime_s
        self._access_of_refresh[refresh] = access
        return {
            "accessToken": access,
            "expiresIn": self._lifetime_s,
            "accessClaims": ["User"],
            "tokenType": "Bearer",
            "refreshToken": refresh,
        }

    def _count_bad_login(self, now_s: float) -> None:
        bad = self._bad_logins_s
        bad.append(now_s)
        if self._blocks and len(bad) == _BAD_LOGINS and now_s - bad[0] <= _BAD_LOGINS_WITHIN_S:
            self._blocked_until_s = now_s + _BLOCKED_S


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `calls` within `within_s` seconds."""

    calls: int
    within_s: float = 60.0


class RateLimiter:
    """Counts calls per endpoint and token; a refused call does not count."""

    def __init__(self) -> None:
        self._calls_s: dict[tuple[str, str], deque[float]] = {}

    def check(self, endpoint: str, token: str, limit: Limit, now_s: float) -> None:
        """Raises Problem 429 with the seconds until the next call is free."""
        calls = self._calls_s.setdefault((endpoint, token), deque(maxlen=limit.calls))
        if len(calls) == limit.calls and now_s - calls[0] < limit.within_s:
            wait_s = math.ceil(calls[0] + limit.within_s - now_s)
            raise Problem(429, "Too many requests.", retry_after_s=wait_s)
        calls.append(now_s)
