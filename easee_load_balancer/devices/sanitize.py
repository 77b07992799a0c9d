"""Text from devices and cloud, made safe for names, messages, pages and terminals."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_LONGEST = 200
_NOT_PLAIN = re.compile(r"[^\w .,:;()'/+-]")


def plain(text: str) -> str:
    """The text without control characters, escapes and markup, on one line, 200 characters."""
    return " ".join(_NOT_PLAIN.sub(" ", text[: 4 * _LONGEST]).split())[:_LONGEST]


PlainText = Annotated[str, AfterValidator(plain)]
"""Text sent by a device or the cloud."""
