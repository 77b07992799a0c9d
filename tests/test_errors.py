"""The errors themselves."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime

import pytest

from easee_load_balancer import errors
from easee_load_balancer.errors import BalancerError

UNTIL = datetime(2026, 6, 21, 12, 0, tzinfo=UTC)
KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, BalancerError) and kind.__name__[0] != "_"
]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_can_be_sent_to_another_process(kind: type[BalancerError]) -> None:
    more = (UNTIL,) if issubclass(kind, errors._Until) else ()
    error = kind("What failed, and what to do.", *more)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind
        assert str(again) == str(error) == "What failed, and what to do."
        assert vars(again) == vars(error)
