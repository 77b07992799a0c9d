"""Known vulnerabilities of the pinned packages: `python -m tests.audit PIP_AUDIT`, or `make audit`.

Exit code 0: none is known; 1: vulnerable; 3: not audited, because the advisories' service did not
answer for every package. No answer is not "none".
"""

from __future__ import annotations

import json
import subprocess
import sys

from tests.support.paths import PROJECT

GOOD, VULNERABLE, NOT_AUDITED = 0, 1, 3
_IGNORED = ("GHSA-cw25-2p92-7f75",)
"""Names prefect, but is about prefect-github, which is not installed."""


def verdict(report: str, errors: str) -> tuple[int, list[str]]:
    """The exit code and what to print, from the output of `pip-audit --format json`."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = errors.strip().splitlines()[-1:] or ["pip-audit printed no report"]
        return NOT_AUDITED, [f"Not audited: {last[0]}"]
    found = [
        f"Vulnerable: {one['name']} {one['version']}: {advisory['id']}"
        for one in packages
        for advisory in one.get("vulns", ())
    ]
    skipped = [
        f"Not audited: {one['name']}: {one['skip_reason']}"
        for one in packages
        if "skip_reason" in one
    ]
    if found:
        return VULNERABLE, found + skipped
    if skipped or not packages:
        return NOT_AUDITED, skipped or ["Not audited: pip-audit knows no package."]
    return GOOD, [f"No known vulnerability in {len(packages)} packages."]


def main(pip_audit: str) -> int:
    """Run pip-audit over the pinned packages and print the verdict."""
    command = [pip_audit, "--format", "json", "--no-deps", "--disable-pip"]
    command += ["--requirement", str(PROJECT / "requirements-fleet.txt")]  # and what it includes
    for advisory in _IGNORED:
        command += ["--ignore-vuln", advisory]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    code, lines = verdict(done.stdout, done.stderr)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
