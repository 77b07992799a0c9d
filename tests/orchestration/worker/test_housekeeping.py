"""Which runs housekeeping deletes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from housekeeping import housekeeping
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed, Scheduled

from tests.support.worker import deployed


async def test_deletes_old_cycles_and_keeps_summaries(client: PrefectClient) -> None:
    cycle = await deployed(client, "house", "cycle", diary="")
    other = await deployed(client, "house", "good")
    cases: dict[str, tuple[UUID, int, State[None], bool]] = {
        "cycle of yesterday": (cycle, 25, Completed(), False),
        "superseded yesterday": (cycle, 25, Cancelled(name="Superseded"), False),
        "cycle of today": (cycle, 23, Completed(), True),
        "failed yesterday": (cycle, 25, Failed(), True),
        "failed last week": (cycle, 7 * 24 + 1, Failed(), False),
        "summary of last year": (other, 400 * 24, Completed(), True),
        "summary that failed": (other, 400 * 24, Failed(), True),
    }
    runs = {}
    for name, (deployment, hours, state, _) in cases.items():
        due = datetime.now(UTC) - timedelta(hours=hours)
        run = await client.create_flow_run_from_deployment(
            deployment, state=Scheduled(scheduled_time=due)
        )
        await client.set_flow_run_state(run.id, state, force=True)
        runs[run.id] = name
    end = await housekeeping(return_state=True)
    left = {run.id for run in await client.read_flow_runs()}
    kept = {name for run_id, name in runs.items() if run_id in left}
    assert kept == {name for name, (*_, stays) in cases.items() if stays}
    assert end.message == "deleted 3 runs"
