"""What a process does so that nobody else reads what it knows."""

from __future__ import annotations

import os
import resource


def keep_to_oneself() -> None:
    """Write no core file, and files for the owner alone; what is started inherits both."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
