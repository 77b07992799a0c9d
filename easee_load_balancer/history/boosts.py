"""The boosts in the history: any worker's next cycle obeys the one under way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.types import JSON

from easee_load_balancer.control.boost import Boost
from easee_load_balancer.history.migrations import Base, UtcDateTime

SUPERSEDED = "another boost began"
CANCELLED = "cancelled"


class BoostRow(Base):
    """One boost; it is under way until it has ended."""

    __tablename__ = "boosts"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    """The flow run that asked for it."""
    site: Mapped[str] = mapped_column(index=True)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_by: Mapped[str | None]
    """Why it ended."""
    state: Mapped[dict[str, Any]] = mapped_column(JSON)

    @property
    def boost(self) -> Boost:
        """The boost as last recorded."""
        return Boost.model_validate(self.state)


class Boosts:
    """The table of boosts. Every method raises HistoryError when the database does not work."""

    def __init__(self, session: Callable[[str], AbstractContextManager[Session]]) -> None:
        self._session = session

    def begin(self, site: str, run_id: str, boost: Boost) -> BoostRow:
        """Store a new boost, which ends the one under way."""
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
        """The boost that this flow run asked for, under way or not."""
        with self._session("read") as session:
            return session.get(BoostRow, run_id)

    def record(self, run_id: str, boost: Boost) -> None:
        """Store how far a boost has come, unless it has ended meanwhile."""
        self._change(run_id, state=boost.model_dump(mode="json"))

    def end(self, run_id: str, boost: Boost, at: datetime, why: str) -> None:
        """End a boost, unless it has ended already."""
        self._change(run_id, state=boost.model_dump(mode="json"), ended_at=at, ended_by=why)

    def _change(self, run_id: str, **values: Any) -> None:
        with self._session("written") as session:
            session.execute(
                update(BoostRow)
                .where(BoostRow.run_id == run_id, BoostRow.ended_at.is_(None))
                .values(**values)
            )
            session.commit()
