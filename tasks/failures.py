"""What fails within a cycle is collected; the cycle goes on with what is left."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from easee_load_balancer.errors import BalancerError
from tasks.run import SENTENCE_ENDS

T = TypeVar("T")


class Failures:
    """The messages of the steps that failed so far."""

    def __init__(self) -> None:
        self._messages: list[str] = []

    async def or_else(self, fallback: T, step: Awaitable[T]) -> T:
        """The result of the step, or the fallback when it raises a BalancerError."""
        try:
            return await step
        except BalancerError as error:
            self.add(str(error))
            return fallback

    def add(self, message: str) -> None:
        """Remember one more failure."""
        if message not in self._messages:
            self._messages.append(message)

    def __bool__(self) -> bool:
        return bool(self._messages)

    def __str__(self) -> str:
        """All messages; a sentence that several of them share is said once."""
        sentences = SENTENCE_ENDS.split(" ".join(self._messages))
        return " ".join(dict.fromkeys(sentences))
