"""The API's error answers: problem details (RFC 9457) with the vendor's error codes."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.responses import JSONResponse


class Problem(Exception):
    """An error answer of the API."""

    def __init__(
        self,
        status: int,
        detail: str | None = None,
        *,
        code: tuple[int, str] | None = None,
        errors: dict[str, list[str]] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.code = code
        """The vendor's error code and its name."""
        self.errors = errors
        self.retry_after_s = retry_after_s

    def response(self) -> JSONResponse:
        """The answer as application/problem+json."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "traceId": f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-00",
        }
        if self.code is not None:
            body["errorCode"], body["errorCodeName"] = self.code
        if self.errors is not None:
            body["title"] = "One or more validation errors occurred."
            body["errors"] = self.errors
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        return JSONResponse(body, self.status, headers, media_type="application/problem+json")


def invalid(error: ValidationError, status: int = 400) -> Problem:
    """The problem of a body that does not fit, with what is wrong per field."""
    errors: dict[str, list[str]] = {}
    for wrong in error.errors():
        field = str(wrong["loc"][0]) if wrong["loc"] else "$"
        errors.setdefault(field, []).append(wrong["msg"])
    return Problem(status, errors=errors)
