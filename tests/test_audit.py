"""The verdict of `make audit`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.audit import GOOD, NOT_AUDITED, VULNERABLE, verdict

CLEAN = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "GHSA-1"}]}
UNKNOWN = {"name": "c", "skip_reason": "not found on the index"}


@pytest.mark.parametrize(
    ("packages", "code", "line"),
    [
        ([CLEAN], GOOD, "No known vulnerability in 1 packages."),
        ([CLEAN, BAD], VULNERABLE, "Vulnerable: b 2: GHSA-1"),
        ([UNKNOWN, BAD], VULNERABLE, "Vulnerable: b 2: GHSA-1"),
        ([CLEAN, UNKNOWN], NOT_AUDITED, "Not audited: c: not found on the index"),
        ([], NOT_AUDITED, "Not audited: pip-audit knows no package."),
    ],
)
def test_vulnerable_and_not_audited_are_told_apart(
    packages: list[dict[str, Any]], code: int, line: str
) -> None:
    found, lines = verdict(json.dumps({"dependencies": packages, "fixes": []}), "")
    assert (found, lines[0]) == (code, line)


@pytest.mark.parametrize("report", ["", "Traceback", "[]", "{}"])
def test_a_service_that_does_not_answer_is_no_clean_bill(report: str) -> None:
    code, lines = verdict(report, "INFO: ...\nConnectionError: no route to host\n")
    assert (code, lines) == (NOT_AUDITED, ["Not audited: ConnectionError: no route to host"])
