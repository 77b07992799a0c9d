"""What a cycle hands over to other programs and to the page of now."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.history.tables import Cycle
from easee_load_balancer.integrations.snapshot import Snapshot
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.live_pages import LIVE_PAGES
from tasks.alerts import send_alerts
from tasks.home_assistant import tell_home_assistant
from tasks.now_page import refresh_now_page
from tasks.planned import Planned
from tasks.prices import price_now
from tasks.run import Run


def snapshot_of(
    setup: Site, run: Run, inputs: CycleInputs, decision: Decision, cycle: Cycle, planned: Planned
) -> Snapshot:
    """The cycle with what it has read, decided and known."""
    return Snapshot(
        site=setup.name,
        charger_id=setup.charger.charger_id,
        loaded_at=run.started_at,
        at=inputs.now,
        inverter=inputs.inverter,
        charger=inputs.charger,
        policy=setup.policy,
        boost=inputs.boost,
        decision=decision,
        outcome=cycle.outcome,
        reason=cycle.reason,
        currency=setup.tariff.currency if setup.tariff.model_fields_set else None,
        import_price=price_now(setup, inputs.now),
        plans=planned.wanted,
        plan=None if planned.plan is None else planned.plan.sentence,
        ready_by=None if planned.departure is None else str(planned.departure),
    )


async def tell_of(setup: Site, run: Run, zone: ZoneInfo, snapshot: Snapshot) -> None:
    """Tell other programs and the owner of the cycle."""
    await tell_home_assistant(snapshot, run)
    if not run.alone or LIVE_PAGES.kept:
        await refresh_now_page(snapshot, setup, zone)
    send_alerts(snapshot, run)
