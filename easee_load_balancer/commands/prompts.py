"""Prompts at the terminal; a flag can answer each of them instead."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

import typer
from rich.console import Console
from rich.text import Text

from easee_load_balancer.errors import ConfigurationError

_Answer = TypeVar("_Answer")


class Prompts:
    """Asks the user. Without a terminal, the saved value is used, or an error names the flag."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.interactive = sys.stdin.isatty()
        """Whether there is a terminal to ask at."""

    def ask(
        self,
        prompt: str,
        flag: str,
        convert: Callable[[str], _Answer],
        *,
        given: str | None = None,
        saved: str | None = None,
        suggested: str | None = None,
    ) -> _Answer:
        """The flag's value, else what the user types; Enter takes the saved or suggested value.

        `convert` raises ValueError with a message for an invalid answer, which is asked again.
        Raises ConfigurationError for an invalid flag, or if the flag is missing and there is no
        terminal.
        """
        if given is not None or not self.interactive:
            text = saved if given is None else given
            if text is None:
                raise ConfigurationError(f"There is no terminal to ask for '{prompt}': set {flag}.")
            try:
                return convert(text)
            except ValueError as error:
                raise ConfigurationError(f"{flag}: {error}") from None
        while True:
            typed: str = typer.prompt(prompt, default=saved or suggested).strip()
            try:
                return convert(typed)
            except ValueError as error:
                self._console.print(Text(f"{error}", "red"))

    def require(self, answers: Mapping[str, object]) -> None:
        """Without a terminal, raise ConfigurationError that names all flags without an answer."""
        missing = [flag for flag, answer in answers.items() if answer is None]
        if missing and not self.interactive:
            raise ConfigurationError(
                f"There is no terminal to ask for what is missing: set {', '.join(missing)}."
            )

    def password(self, prompt: str, variable: str, given: str | None, saved: str | None) -> str:
        """A password, not shown while typed. Raises ConfigurationError without a terminal."""
        if given is not None:
            return given
        if not self.interactive:
            return self.ask(prompt, variable, str, saved=saved)
        keep = " (Enter keeps the saved one)" if saved else ""
        typed: str = typer.prompt(
            f"{prompt}{keep}",
            default="" if saved else None,
            hide_input=True,
            show_default=False,
        )
        return typed or saved or ""

    def confirm(self, prompt: str, given: bool) -> bool:
        """Whether the flag is set or the user confirms; False without a terminal."""
        return given or (self.interactive and typer.confirm(prompt))
