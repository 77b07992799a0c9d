"""What an answer of the Easee cloud means: its content, or the error that it stands for."""

from __future__ import annotations

import re
from typing import TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from easee_load_balancer.devices.easee.models import ProblemDetails
from easee_load_balancer.devices.easee.rate_limits import Endpoint
from easee_load_balancer.devices.easee.transport import Answer
from easee_load_balancer.errors import (
    ChargerDisconnected,
    ChargerError,
    ChargerUnknown,
    ChargerUnreachable,
    InvalidAnswer,
    problems,
)

_CHARGER_DISCONNECTED = 410
"""`errorCode` of a 400 (ChargerDisconnected)."""
_ID = re.compile(r"\b[0-9]{1,4}\b")
_Model = TypeVar("_Model")


class BadRequest(ChargerError):
    """The cloud does not accept the request as it is (400)."""

    def __init__(self, message: str, named: frozenset[int] = frozenset()) -> None:
        super().__init__(message)
        self.named = named
        """Numbers in its explanation, such as ids of observations that it does not know."""


def parsed(model: TypeAdapter[_Model], content: bytes, endpoint: Endpoint, cloud: str) -> _Model:
    """The content of a successful answer. Raises InvalidAnswer."""
    try:
        return model.validate_json(content)
    except ValidationError as error:
        raise InvalidAnswer(
            f"{cloud} sent an unexpected answer to '{endpoint}' ({problems(error)}). "
            "The next cycle tries again."
        ) from None


def error_of(answer: Answer, endpoint: Endpoint, cloud: str) -> ChargerError:
    """The error that an unsuccessful answer stands for."""
    problem = ProblemDetails.of(answer.content)
    if problem.error_code == _CHARGER_DISCONNECTED:
        return ChargerDisconnected(
            f"{cloud} did not carry out '{endpoint}': it has no connection to the "
            "charger, or no car is plugged in. The next cycle tries again."
        )
    answers = f"{cloud} answers {answer.status} to '{endpoint}' ({problem.said})."
    if answer.status == httpx.codes.NOT_FOUND:
        return ChargerUnknown(
            f"{answers} Unknown charger, site or circuit: check the block 'Easee charger'."
        )
    if answer.status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return ChargerUnreachable(f"{answers} This usually passes within minutes.")
    message = f"{answers} If this persists, check the account in the Easee app."
    if answer.status == httpx.codes.BAD_REQUEST:
        explained = f"{problem.detail} {problem.errors}"
        return BadRequest(message, frozenset(map(int, _ID.findall(explained))))
    return ChargerError(message)
