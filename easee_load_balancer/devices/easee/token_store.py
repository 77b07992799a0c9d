"""The Easee session on disk, encrypted, shared by all processes: one writer at a time.

The key is derived from the account's password: without it the file is useless, and a changed
password starts a new session.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from easee_load_balancer.devices.easee.models import Account, TokenAnswer
from easee_load_balancer.system.files import replace_file
from easee_load_balancer.system.locks import FileLock
from easee_load_balancer.system.stand_in import is_unwritable, stand_in

_RENEW_BEFORE_EXPIRY = timedelta(seconds=90)
_SALT_BYTES = 16
_LOCK_POLL_S = 0.05
_LONGEST_WAIT = timedelta(days=1)
CLOUD = "cloud"
"""Stands for all endpoints in `SavedSession.refusals`."""
_LONGEST_TOKEN_S = 7 * 24 * 3600.0


class Tokens(BaseModel):
    """An access token and the single-use token that renews it."""

    model_config = ConfigDict(frozen=True)

    access: SecretStr
    refresh: SecretStr
    issued_at: AwareDatetime
    expires_at: AwareDatetime

    @classmethod
    def of(cls, answer: TokenAnswer, now: datetime) -> Tokens:
        """The tokens that the cloud has just sent."""
        return cls(
            access=answer.access_token,
            refresh=answer.refresh_token,
            issued_at=now,
            expires_at=now + timedelta(seconds=min(answer.expires_in, _LONGEST_TOKEN_S)),
        )

    def valid_at(self, now: datetime) -> bool:
        """Whether the access token will last for the next calls."""
        margin = min(_RENEW_BEFORE_EXPIRY, (self.expires_at - self.issued_at) / 4)
        return now < self.expires_at - margin


class Refusal(BaseModel):
    """A refused endpoint, or the whole cloud, which must not be called for a while."""

    model_config = ConfigDict(frozen=True)

    status: int
    until: AwareDatetime
    noted_at: AwareDatetime
    wait_s: float
    """The next refusal in a row doubles it."""

    def applies(self, now: datetime) -> bool:
        """Whether it is still in force.

        One noted in the future, or for more than a day, comes from a wrong clock.
        """
        return self.noted_at <= now and timedelta(0) < self.until - now <= _LONGEST_WAIT

    def at_most(self, wait: timedelta) -> Refusal:
        """The same refusal with a wait no longer than this."""
        return self.model_copy(update={"until": min(self.until, self.noted_at + wait)})


class SavedSession(BaseModel):
    """Tokens, and the rate limits and blocks in force."""

    tokens: Tokens | None = None
    refusals: dict[str, Refusal] = Field(default_factory=dict)
    """By endpoint; `CLOUD` for all of them. A success removes them."""
    rejected_at: AwareDatetime | None = None
    """When user name or password were rejected: never tried again."""

    def usable(self, refused: SecretStr | None = None) -> SecretStr | None:
        """The access token, unless it is about to expire or the refused one."""
        tokens = self.tokens
        if tokens is None or tokens.access == refused or not tokens.valid_at(datetime.now(UTC)):
            return None
        return tokens.access

    def accept(self, *keys: str) -> None:
        """Forget the refusals of these endpoints: they work."""
        for key in keys:
            self.refusals.pop(key, None)

    def to_json(self) -> str:
        """Everything, secrets in the clear: for the encrypted file only."""
        data = self.model_dump(mode="json")
        if self.tokens:
            data["tokens"]["access"] = self.tokens.access.get_secret_value()
            data["tokens"]["refresh"] = self.tokens.refresh.get_secret_value()
        return json.dumps(data)


class TokenStore:
    """One account's session in `folder`, readable only with that account's password.

    Every method raises OSError where the folder cannot be used.
    """

    def __init__(self, folder: Path, account: Account) -> None:
        owner = f"{account.user_name} {account.base_url}"
        name = hashlib.sha256(owner.encode()).hexdigest()[:16]
        self._path = folder / f"easee-session-{name}"
        self._in_memory = stand_in(self._path)
        self._lock_path = folder / f"easee-session-{name}.lock"
        self._password = account.password
        self._salt = os.urandom(_SALT_BYTES)

    def load(self) -> SavedSession:
        """The saved session; an empty one where none is readable with this password."""
        try:
            stored = self._in_memory.read_bytes()
        except FileNotFoundError:
            try:
                stored = self._path.read_bytes()
            except FileNotFoundError:
                return SavedSession()
        salt, token = stored[:_SALT_BYTES], stored[_SALT_BYTES:]
        try:
            return SavedSession.model_validate_json(_cipher(self._password, salt).decrypt(token))
        except (InvalidToken, ValidationError):
            return SavedSession()

    def save(self, session: SavedSession) -> None:
        """Replace the saved session atomically; one without content leaves no file.

        In memory while the disk is full or read-only.
        """
        if session == SavedSession():
            for path in (self._path, self._in_memory):
                with suppress(OSError):  # a read-only disk keeps it
                    path.unlink(missing_ok=True)
            return
        token = _cipher(self._password, self._salt).encrypt(session.to_json().encode())
        try:
            replace_file(self._path, self._salt + token, durable=False)
        except OSError as error:
            if not is_unwritable(error):
                raise
            replace_file(self._in_memory, self._salt + token, durable=False)
        else:
            self._in_memory.unlink(missing_ok=True)

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Hold the account's lock, which ends with its holder even if that is killed."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(self._lock_path) as lock:
            while True:
                if lock.acquire():
                    break
                await asyncio.sleep(_LOCK_POLL_S)
            yield


@lru_cache(maxsize=4)
def _cipher(password: SecretStr, salt: bytes) -> Fernet:
    """The cipher of a password; the key is expensive to derive on purpose."""
    key = Scrypt(salt=salt, length=32, n=2**14, r=8, p=1).derive(
        password.get_secret_value().encode()
    )
    return Fernet(base64.urlsafe_b64encode(key))
