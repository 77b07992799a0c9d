"""What a process does so that nobody else reads what it knows."""

from __future__ import annotations

import os
import resource


def keep_to_oneself() -> None:
    """Write no core file, and files for the owner alone; what is started inherits both."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    os.umask(0o077)
