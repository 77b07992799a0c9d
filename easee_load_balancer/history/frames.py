"""Rows of the history as a table of pandas."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import ColumnElement, String

from easee_load_balancer.history.tables import UtcDateTime


def frame(columns: Sequence[ColumnElement[Any]], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """The rows as the database's driver returns them. Numbers become floats, NaN is unknown."""
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    return pd.DataFrame(
        {column.key: _series(column, value) for column, value in zip(columns, values, strict=True)}
    )


def _series(column: ColumnElement[Any], values: Sequence[Any]) -> pd.Series:
    if isinstance(column.type, UtcDateTime):
        if values and not isinstance(values[0], str):  # only SQLite stores times as text
            return pd.Series(pd.to_datetime(values, utc=True)).dt.as_unit("us")
        return pd.Series(np.array(values, dtype="datetime64[us]")).dt.tz_localize(UTC)
    if isinstance(column.type, String):
        return pd.Series(values, dtype="str")
    return pd.Series(np.array(values, dtype="float64"))
