"""Corrupt responses: cut off, or with other content."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import HTMLResponse, Response

from easee_load_balancer.simulation.faults import BodyFault

_KEPT = ("id", "timestamp")
_SHORTEST_PROMISE = 16


def corrupted(response: Response, fault: BodyFault | None) -> Response:
    """The response with the fault applied."""
    body, status = bytes(response.body), response.status_code
    media_type = response.headers.get("content-type")
    if fault == "truncated":
        return Response(body[: len(body) // 2], status, media_type=media_type)
    if fault == "cut":
        return _Cut(body, status, media_type=media_type)
    if fault in ("nulls", "new fields") and body:
        document = json.loads(body)
        changed = _without_values(document) if fault == "nulls" else _with_new_fields(document)
        return Response(json.dumps(changed), status, media_type=media_type)
    return response


def interposed_page() -> Response:
    """The HTML page of a proxy that answers in place of the API."""
    return HTMLResponse("<!DOCTYPE html><html><body><h1>Back soon</h1></body></html>")


class _Cut(Response):
    """Announces more than it sends; the server then ends the connection."""

    def init_headers(self, headers: Any = None) -> None:
        super().init_headers(headers)
        promised = max(len(self.body), _SHORTEST_PROMISE)
        self.headers["content-length"] = str(promised)
        self.body = self.body[: len(self.body) // 2]


def _without_values(document: Any) -> Any:
    if isinstance(document, dict):
        return {
            key: value if key in _KEPT else _without_values(value)
            for key, value in document.items()
        }
    return [_without_values(one) for one in document] if isinstance(document, list) else None


def _with_new_fields(document: Any) -> Any:
    if isinstance(document, dict):
        known = {key: _with_new_fields(value) for key, value in document.items()}
        return {"newObject": {"a": [1, None]}, **known, "newText": "new"}
    return [_with_new_fields(one) for one in document] if isinstance(document, list) else document
