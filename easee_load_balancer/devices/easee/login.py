"""The login of one Easee account: its tokens, and what the cloud refuses, for all processes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
from pydantic import SecretStr, TypeAdapter

from easee_load_balancer.devices.easee.answers import error_of, parsed
from easee_load_balancer.devices.easee.models import Account, TokenAnswer
from easee_load_balancer.devices.easee.rate_limits import (
    Endpoint,
    cloud_of,
    is_throttled,
    raise_if_throttled,
    record_refusal,
)
from easee_load_balancer.devices.easee.token_store import (
    CLOUD,
    SavedSession,
    Tokens,
    TokenStore,
)
from easee_load_balancer.devices.easee.transport import Answer
from easee_load_balancer.errors import ChargerError

Send = Callable[[Endpoint, str, Mapping[str, str]], Awaitable[Answer]]
"""Posts a body to a path, without a token."""

logger = logging.getLogger(__name__)


class Login:
    """The session of an account, saved in `folder`; one login or refresh at a time."""

    def __init__(self, account: Account, folder: Path, send: Send) -> None:
        self.session = SavedSession()
        """As it was last read or changed by this process."""
        self._account = account
        self._folder = folder
        self._send = send
        self._store = TokenStore(folder, account)
        self._unsaved = False
        self._worked_at: dict[str, datetime] = {}
        """Last success by endpoint."""

    async def token(self, refused: SecretStr | None = None) -> SecretStr:
        """A valid access token other than the refused one. Raises a ChargerError."""
        token = self.session.usable(refused)
        if token is not None:
            return token
        async with self.change() as session:
            token = session.usable(refused)  # another process may have been faster
            if token is None:
                await self._retry_credentials(session)
                session.tokens = await self._refresh(session) or await self._log_in(session)
                session.accept("login", "refresh")
                token = session.tokens.access
        return token

    async def record_success(self, endpoint: Endpoint) -> None:
        """An endpoint works: the waits that grew with its refusals end."""
        self._worked_at[endpoint] = datetime.now(UTC)
        if {endpoint, CLOUD} & self.session.refusals.keys():
            async with self.change() as session:
                session.accept(endpoint, CLOUD)

    async def record_failure(self, endpoint: Endpoint, answer: Answer) -> ChargerError:
        """Record what an unsuccessful answer refuses; returns the error to raise."""
        async with self.change() as session:
            return self._refusal(session, endpoint, answer)

    @asynccontextmanager
    async def change(self) -> AsyncIterator[SavedSession]:
        """The session, saved after changes, also when the block ends in an error.

        Where it cannot be saved, this process continues with its copy in memory.
        """
        try:
            async with self._store.locked():
                if not self._unsaved:
                    self.session = self._store.load()
                session = self.session
                before = session.to_json()
                try:
                    yield session
                finally:
                    if self._unsaved or session.to_json() != before:
                        self._save(session)
        except OSError as error:
            raise ChargerError(
                f"The Easee session in {self._folder} cannot be used ({error.strerror}). "
                "Check disk space and folder ownership."
            ) from error

    def _save(self, session: SavedSession) -> None:
        try:
            self._store.save(session)
        except OSError as error:
            self._unsaved = True
            logger.warning(
                "The Easee session in %s cannot be saved (%s); it is lost when this process ends.",
                self._folder,
                error.strerror,
            )
        else:
            self._unsaved = False

    async def _retry_credentials(self, session: SavedSession) -> None:
        """Try rejected credentials once more after a person has saved them again."""
        if session.rejected_at is not None:
            saved_at = await self._account.saved_at()
            if saved_at is not None and saved_at > session.rejected_at:
                session.rejected_at = None

    async def _refresh(self, session: SavedSession) -> Tokens | None:
        """New tokens, or None when the single-use refresh token is not accepted."""
        if session.tokens is None:
            return None
        raise_if_throttled(session, "refresh", self._account)
        body = {
            "accessToken": session.tokens.access.get_secret_value(),
            "refreshToken": session.tokens.refresh.get_secret_value(),
        }
        answer = await self._send("refresh", "/api/accounts/refresh_token", body)
        if answer.status == httpx.codes.OK:
            return self._tokens(answer.content, "refresh")
        if is_throttled(answer.status):
            raise self._refusal(session, "refresh", answer)
        return None

    async def _log_in(self, session: SavedSession) -> Tokens:
        raise_if_throttled(session, "login", self._account)
        body = {
            "userName": self._account.user_name,
            "password": self._account.password.get_secret_value(),
        }
        answer = await self._send("login", "/api/accounts/login", body)
        if answer.status == httpx.codes.OK:
            return self._tokens(answer.content, "login")
        if answer.status in (httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED):
            session.rejected_at = datetime.now(UTC)
            raise_if_throttled(session, "login", self._account)
        raise self._refusal(session, "login", answer)

    def _refusal(self, session: SavedSession, endpoint: Endpoint, answer: Answer) -> ChargerError:
        """Record until when not to ask again; returns the error of the answer."""
        record_refusal(session, endpoint, answer.status, answer.headers, self._worked_at)
        if is_throttled(answer.status):
            try:
                raise_if_throttled(session, endpoint, self._account)
            except ChargerError as error:
                return error
        return error_of(answer, endpoint, cloud_of(self._account))

    def _tokens(self, content: bytes, endpoint: Endpoint) -> Tokens:
        cloud, now = cloud_of(self._account), datetime.now(UTC)
        return Tokens.of(parsed(TypeAdapter(TokenAnswer), content, endpoint, cloud), now)
