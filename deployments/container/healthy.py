"""Health check: exit code 0 if the Prefect server answers and a worker is online.

python healthy.py [server]   with `server`, only the server is checked
"""

from __future__ import annotations

import base64
import json
import os
import sys
from urllib.request import Request, urlopen

_TIMEOUT_S = 8


def main() -> None:
    """Ask the server, with its password if there is one."""
    api = os.environ.get("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    path, body = "/work_pools/home/workers/filter", b"{}"
    if sys.argv[1:] == ["server"]:
        path, body = "/health", None
    request = Request(api + path, body, {"Content-Type": "application/json"})  # noqa: S310
    password = os.environ.get("PREFECT_API_AUTH_STRING")
    if password is not None:
        token = base64.b64encode(password.encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    with urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
        found = json.load(answer)
    sys.exit(0 if found is True or any(one["status"] == "ONLINE" for one in found) else 1)


if __name__ == "__main__":
    main()
