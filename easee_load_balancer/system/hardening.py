"""Keeping a process's secrets from other users of the machine."""

from __future__ import annotations

import os
import resource


def harden_process() -> None:
    """Disable core dumps and create files readable only by their owner; children inherit both."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    os.umask(0o077)
