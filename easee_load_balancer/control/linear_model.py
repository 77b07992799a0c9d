"""A small builder for mixed-integer linear models, solved by HiGHS.

SciPy is imported only where a model is solved: its import takes memory that `balance` has no use
for.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from easee_load_balancer.errors import PlanError

Columns = NDArray[np.intp]
Values = NDArray[np.float64]
Term = tuple[Columns, ArrayLike]
"""Variables, and the coefficient of each; one a row."""
_TIME_IS_OVER = 1
"""SciPy's status."""


class LinearModel:
    """Variables with bounds and costs, and rows that bind them; the sum of costs is minimised."""

    def __init__(self) -> None:
        self._count = 0
        self._variables: list[list[Values]] = []
        """Lowest, highest, cost and whether whole, of each block of variables."""
        self._entries: list[tuple[Columns, Columns, Values]] = []
        self._bounds: list[tuple[Values, Values]] = []
        self._rows = 0

    def variables(
        self,
        count: int,
        *,
        low: ArrayLike = 0.0,
        high: ArrayLike = math.inf,
        cost: ArrayLike = 0.0,
        whole: ArrayLike = 0.0,
    ) -> Columns:
        """Add variables; those where `whole` is 1 take whole numbers only."""
        self._variables.append([_filled(each, count) for each in (low, high, cost, whole)])
        columns = np.arange(self._count, self._count + count)
        self._count += count
        return columns

    def rows(self, *terms: Term, low: ArrayLike = -math.inf, high: ArrayLike = math.inf) -> None:
        """Add a row for each position of the terms: `low` <= sum of the terms <= `high`."""
        count = len(terms[0][0])
        rows = np.arange(self._rows, self._rows + count)
        for columns, values in terms:
            self._entries.append((rows, columns, _filled(values, count)))
        self._bounds.append((_filled(low, count), _filled(high, count)))
        self._rows += count

    def row(self, *terms: Term, low: float = -math.inf, high: float = math.inf) -> None:
        """Add one row, the sum over all variables of the terms."""
        for columns, values in terms:
            rows = np.full(len(columns), self._rows)
            self._entries.append((rows, columns, _filled(values, len(columns))))
        self._bounds.append((_filled(low, 1), _filled(high, 1)))
        self._rows += 1

    def solve(self, *, most_s: float, gap: float = 0.0) -> Values:
        """The values of all variables: at most the share `gap` from the best, within `most_s`.

        On a busy machine that may be too short for whole numbers: then without them.
        Raises PlanError where there is no solution.
        """
        from scipy import optimize, sparse  # type: ignore[import-untyped]

        low, high, cost, whole = map(np.concatenate, zip(*self._variables, strict=True))
        rows, columns, values = map(np.concatenate, zip(*self._entries, strict=True))
        shape = (self._rows, self._count)
        matrix = sparse.csr_array((values, (rows, columns)), shape=shape)
        least, most = map(np.concatenate, zip(*self._bounds, strict=True))
        problem = {
            "bounds": optimize.Bounds(low, high),
            "constraints": optimize.LinearConstraint(matrix, least, most),
        }
        options = {"time_limit": most_s, "mip_rel_gap": gap}
        result: Any = optimize.milp(cost, integrality=whole, options=options, **problem)
        if result.status == _TIME_IS_OVER and result.x is None and whole.any():
            result = optimize.milp(cost, **problem)
        if result.x is None:
            raise PlanError(f"No charging plan: HiGHS says {result.message}")
        solution: Values = result.x
        return solution


def _filled(values: ArrayLike, count: int) -> Values:
    return np.array(np.broadcast_to(np.asarray(values, float), count))
