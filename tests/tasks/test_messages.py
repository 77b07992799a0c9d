"""What a run says about itself: its name, and what failed."""

from __future__ import annotations

import pytest

from tasks.failures import Failures
from tasks.run import run_name

LONG = "The inverter at 192.168.1.40 does not answer within 2 s although it accepts connections. "


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("16 A x 3: surplus 11.2 kW", "16 A x 3: surplus 11.2 kW"),
        (LONG + LONG + LONG, (LONG + LONG).strip()),
        ("Short. " + "Word " * 60, "Short."),
        ("word " * 60, "word " * 35 + "..."),
        ("x" * 300, "x" * 176 + " ..."),
        ("", "nothing to do"),
        ("two\nlines", "two lines"),
    ],
)
def test_a_name_ends_with_a_sentence_or_a_word(text: str, name: str) -> None:
    assert run_name(text) == name
    assert len(run_name(text)) <= 180


def test_a_sentence_of_several_failures_is_said_once() -> None:
    failures = Failures()
    failures.add("The history could not be read (locked). Is the disk full, or the database down?")
    failures.add("The history could not be opened. Is the disk full, or the database down?")
    assert str(failures) == (
        "The history could not be read (locked). Is the disk full, or the database down? "
        "The history could not be opened."
    )
