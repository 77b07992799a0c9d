"""Runs a module like `python -m`, and ends it when the process that started it has ended.

python -m easee_load_balancer.system.ends_with_parent prefect worker start ...

Standard input is a pipe from the parent: the system closes it however the parent ends.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

_END_S = 5.0


def _end_with_parent() -> None:
    """Wait until the pipe is closed, then end this process group."""
    os.read(sys.stdin.fileno(), 1)
    os.killpg(0, signal.SIGTERM)
    time.sleep(_END_S)
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Run the module named by the first argument."""
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
