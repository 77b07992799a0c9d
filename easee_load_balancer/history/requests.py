"""What flow runs have asked for, in the history: the next cycle of any worker obeys it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import literal, select, union_all, update
from sqlalchemy.orm import Session

from easee_load_balancer.control.metered_charge import MeteredCharge
from easee_load_balancer.history.tables import BoostRow, DimmingRow, ReadyByRow

CANCELLED = "cancelled"

Row = TypeVar("Row", BoostRow, ReadyByRow, DimmingRow)


class Requests(Generic[Row]):
    """A table of requests. Every method raises HistoryError if the database fails."""

    def __init__(
        self, table: type[Row], session: Callable[[str], AbstractContextManager[Session]]
    ) -> None:
        self._table: type[Row] = table
        self._session = session

    def begin(self, site: str, run_id: str, request: MeteredCharge) -> Row:
        """Store a new request; it ends the active one."""
        table = self._table
        row = table(
            run_id=run_id,
            site=site,
            started_at=request.started_at,
            ended_at=None,
            ended_by=None,
            state=request.model_dump(mode="json"),
        )
        with self._session("written") as session:
            session.execute(
                update(table)
                .where(table.site == site, table.ended_at.is_(None))
                .values(ended_at=request.started_at, ended_by=table.superseded)
            )
            session.add(row)
            session.commit()
        return row

    def under_way(self, site: str) -> Row | None:
        """The site's request that has not ended."""
        table = self._table
        query = select(table).where(table.site == site, table.ended_at.is_(None))
        with self._session("read") as session:
            found: Row | None = session.scalar(query.order_by(table.started_at.desc()).limit(1))
            return found

    def of_run(self, run_id: str) -> Row | None:
        """What this flow run asked for, active or ended."""
        with self._session("read") as session:
            return session.get(self._table, run_id)

    def record(self, run_id: str, request: MeteredCharge) -> None:
        """Store the progress of a request unless it has ended."""
        self._change(run_id, state=request.model_dump(mode="json"))

    def end(self, run_id: str, request: MeteredCharge, at: datetime, why: str) -> None:
        """End a request unless it has ended already."""
        self._change(run_id, state=request.model_dump(mode="json"), ended_at=at, ended_by=why)

    def _change(self, run_id: str, **values: Any) -> None:
        table = self._table
        with self._session("written") as session:
            session.execute(
                update(table)
                .where(table.run_id == run_id, table.ended_at.is_(None))
                .values(**values)
            )
            session.commit()


def under_way(session: Session, site: str) -> set[str]:
    """Which tables have an active request of the site: usually none, found with one query."""
    queries = [
        select(literal(table.__tablename__)).where(table.site == site, table.ended_at.is_(None))
        for table in (BoostRow, ReadyByRow, DimmingRow)
    ]
    return set(session.scalars(union_all(*queries)))
