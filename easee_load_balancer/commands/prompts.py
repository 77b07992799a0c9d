"""Questions at the terminal, each of which a flag can answer instead."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import typer
from rich.console import Console
from rich.text import Text

from easee_load_balancer.errors import ConfigurationError

_Answer = TypeVar("_Answer")


class Unanswered(ConfigurationError):
    """There is nobody to ask."""


class Questions:
    """Asks a person; without a terminal the saved answer counts, or an error names the flag."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.possible = sys.stdin.isatty()
        """Whether there is somebody to ask."""

    def ask(
        self,
        question: str,
        flag: str,
        convert: Callable[[str], _Answer],
        *,
        given: str | None = None,
        saved: str | None = None,
        proposed: str | None = None,
    ) -> _Answer:
        """What the flag gave, else what the person types, `saved` or `proposed` by Enter.

        `convert` raises ValueError with a sentence for an answer that cannot be: it is asked
        again. Raises ConfigurationError for a flag that cannot be, Unanswered without a terminal.
        """
        if given is not None or not self.possible:
            text = saved if given is None else given
            if text is None:
                raise Unanswered(f"There is no terminal to ask for '{question}': give {flag}.")
            try:
                return convert(text)
            except ValueError as error:
                raise ConfigurationError(f"{flag}: {error}") from None
        while True:
            answer: str = typer.prompt(question, default=saved or proposed).strip()
            try:
                return convert(answer)
            except ValueError as error:
                self._console.print(Text(f"{error}", "red"))

    def secret(self, question: str, flag: str, given: str | None, saved: str | None) -> str:
        """A password, typed unseen. Raises Unanswered without a terminal."""
        if given is not None:
            return given
        if not self.possible:
            if saved is None:
                raise Unanswered(f"There is no terminal to ask for '{question}': set {flag}.")
            return saved
        keep = " (Enter keeps the saved one)" if saved else ""
        typed: str = typer.prompt(
            f"{question}{keep}",
            default="" if saved else None,
            hide_input=True,
            show_default=False,
        )
        return typed or saved or ""

    def confirm(self, question: str, given: bool) -> bool:
        """Whether the person says yes; a flag that was given says so, no terminal says no."""
        return given or (self.possible and typer.confirm(question))
