"""Prefect's client without a limit of its connections.

httpx (httpcore 1.0.9) loses a connection for good where a request is cancelled in the moment in
which it gets one: it stays in the pool as if it were in use. Prefect's client may have 16. A worker
of many sites gives up as many requests at once when the server is slow, and had none left: all of
its later requests waited for ever.
"""

from __future__ import annotations

import sys
from typing import Any

from prefect.client.orchestration import PrefectClient


def without_limit(client: PrefectClient) -> None:
    """Let the client open as many connections as it has requests."""
    transport: Any = client._client._transport
    transport._pool._max_connections = sys.maxsize
