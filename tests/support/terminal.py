"""A real terminal on which somebody types."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest


@contextmanager
def typing(monkeypatch: pytest.MonkeyPatch, lines: Sequence[str]) -> Iterator[None]:
    """A terminal on which a user types these lines."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        os.write(ours, "".join(f"{line}\n" for line in lines).encode())
        yield
    os.close(ours)
