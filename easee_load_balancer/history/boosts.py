"""The boosts in the history: the next cycle of any worker applies the active one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.history.tables import BoostRow

SUPERSEDED = "another boost began"
CANCELLED = "cancelled"


class Boosts:
    """The table of boosts. Every method raises HistoryError if the database fails."""

    def __init__(self, session: Callable[[str], AbstractContextManager[Session]]) -> None:
        self._session = session

    def begin(self, site: str, run_id: str, boost: Boost) -> BoostRow:
        """Store a new boost; it ends the active one."""
        row = BoostRow(
            run_id=run_id,
            site=site,
            started_at=boost.started_at,
            ended_at=None,
            ended_by=None,
            state=boost.model_dump(mode="json"),
        )
        with self._session("written") as session:
            session.execute(
                update(BoostRow)
                .where(BoostRow.site == site, BoostRow.ended_at.is_(None))
                .values(ended_at=boost.started_at, ended_by=SUPERSEDED)
            )
            session.add(row)
            session.commit()
        return row

    def under_way(self, site: str) -> BoostRow | None:
        """The site's boost that has not ended."""
        query = select(BoostRow).where(BoostRow.site == site, BoostRow.ended_at.is_(None))
        with self._session("read") as session:
            return session.scalar(query.order_by(BoostRow.started_at.desc()).limit(1))

    def of_run(self, run_id: str) -> BoostRow | None:
        """The boost that this flow run started, active or ended."""
        with self._session("read") as session:
            return session.get(BoostRow, run_id)

    def record(self, run_id: str, boost: Boost) -> None:
        """Store the progress of a boost unless it has ended."""
        self._change(run_id, state=boost.model_dump(mode="json"))

    def end(self, run_id: str, boost: Boost, at: datetime, why: str) -> None:
        """End a boost unless it has ended already."""
        self._change(run_id, state=boost.model_dump(mode="json"), ended_at=at, ended_by=why)

    def _change(self, run_id: str, **values: Any) -> None:
        with self._session("written") as session:
            session.execute(
                update(BoostRow)
                .where(BoostRow.run_id == run_id, BoostRow.ended_at.is_(None))
                .values(**values)
            )
            session.commit()
