"""Files in memory that stand in for those of a data folder that cannot be written.

They survive their process, not the machine. Only small ones: locks and the Easee session.
"""

from __future__ import annotations

import errno
import hashlib
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
_UNWRITABLE = (errno.EROFS, errno.ENOSPC, errno.EDQUOT)


def is_unwritable(error: OSError) -> bool:
    """Whether the disk is read-only or full.

    A folder of another user is neither: that is a mistake, and a stand-in would hide it.
    """
    return error.errno in _UNWRITABLE


def stand_in(path: Path) -> Path:
    """Where the stand-in of that file is, the same for every process of this machine."""
    folder = _MEMORY if _MEMORY.is_dir() else Path(tempfile.gettempdir())
    name = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:24]
    return folder / f"easee-balancer-{name}"
