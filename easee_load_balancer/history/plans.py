"""The last charging plan of each site, for the cycles that obey it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from easee_load_balancer.control.plan import Plan
from easee_load_balancer.history.tables import PlanRow


class Plans:
    """The table of plans. Every method raises HistoryError if the database fails."""

    def __init__(self, session: Callable[[str], AbstractContextManager[Session]]) -> None:
        self._session = session

    def record(self, site: str, plan: Plan) -> None:
        """Store the plan in place of the one before."""
        with self._session("written") as session:
            stored = plan.model_dump(mode="json")
            session.merge(PlanRow(site=site, made_at=plan.made_at, plan=stored))
            session.commit()

    def made_at(self, site: str) -> datetime | None:
        """When the last plan was made."""
        with self._session("read") as session:
            return session.scalar(select(PlanRow.made_at).where(PlanRow.site == site))

    def last(self, site: str) -> Plan | None:
        """The last plan; None also for one that this version cannot read."""
        with self._session("read") as session:
            row = session.get(PlanRow, site)
        try:
            return None if row is None else Plan.model_validate(row.plan)
        except ValidationError:
            return None
