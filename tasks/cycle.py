"""The parts of a cycle that are the same for one charger and for several."""

from __future__ import annotations

from asyncio import gather
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any

from prefect.client.schemas.objects import State

from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.decision import Decision
from easee_load_balancer.control.state import ControllerState
from easee_load_balancer.devices.easee.models import ChargerAddress
from easee_load_balancer.errors import (
    ChargerError,
    ChargerUnreachable,
    InvalidAnswer,
    LockLost,
)
from easee_load_balancer.history.tables import Cycle
from easee_load_balancer.measurements import ChargerState, InverterReading
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.system.database_locks import SEND_S
from easee_load_balancer.system.site_writer import Writer
from tasks.battery import concerns_battery
from tasks.charger import read_charger
from tasks.failures import Failures
from tasks.inverter import read_inverter
from tasks.run import Run, completed, failed


async def read_house(
    setup: Site,
    chargers: Sequence[tuple[ChargerAddress, ControllerState]],
    run: Run,
    failures: Failures,
) -> tuple[InverterReading, list[ChargerState]]:
    """Inverter and chargers, all at the same time; what cannot be read is unknown."""
    night = chargers[0][1].is_night(run.started_at)
    reading = failures.or_else(
        InverterReading.unknown(run.started_at), read_inverter(setup.inverter, night=night)
    )
    unknown = ChargerState.unknown(run.started_at)
    each = [
        failures.or_else(
            unknown,
            read_charger(
                address,
                setup.credentials,
                closely=state.watch_closely,
                near_fuse=state.near_fuse,
            ),
        )
        for address, state in chargers
    ]
    inverter, read = await gather(reading, gather(*each))
    return inverter, list(read)


@asynccontextmanager
async def commands(
    writer: Writer, setup: Site, decision: Decision, record: str, failures: Failures
) -> AsyncIterator[bool]:
    """What is sent within this block is recorded before, and no other worker sends meanwhile.

    False where that cannot be ensured: then nothing may be sent, which is among the failures.
    Raises LockLost when it takes so long that another worker may begin: the next cycle counts what
    was sent as taken and as not taken, whichever is safer.
    """
    if not record and not await concerns_battery(setup.inverter, setup.name, decision):
        yield True
        return
    try:
        async with AsyncExitStack() as block:
            try:
                await block.enter_async_context(writer.sending(record))
            except LockLost as error:
                failures.add(str(error))
                yield False
                return
            yield True
    except TimeoutError:
        raise LockLost(
            f"Sending took more than {SEND_S:.0f} s and was given up. The next cycle tries again."
        ) from None


async def sent(
    decision: Decision, command: Awaitable[None], now: datetime, failures: Failures, name: str = ""
) -> Decision:
    """The decision with what is known of its command; `name`: which of several chargers fails."""
    try:
        await command
    except ChargerError as error:
        failures.add(f"{name}: {error}" if name else str(error))
        unconfirmed = isinstance(error, ChargerUnreachable | InvalidAnswer)
        return decision.unconfirmed(now) if unconfirmed else decision
    return decision.pushed(now)


def cycle_row(site: str, run: Run, inputs: CycleInputs, decision: Decision, failures: str) -> Cycle:
    """The cycle for the history."""
    return Cycle.of(
        site=site,
        scheduled_at=run.scheduled_at,
        at=inputs.now,
        run_id=str(run.id or "without Prefect"),
        mode="boost" if inputs.boost else inputs.policy.mode,
        inverter=inputs.inverter,
        charger=inputs.charger,
        decision=decision,
        failure=failures,
    )


async def end_cycle(
    decision: Decision, inverter: InverterReading, failures: Failures
) -> State[Any]:
    """How the run of the cycle ends."""
    if failures:
        return await failed(str(failures))
    name = "Attention" if decision.attention else "Asleep" if inverter.asleep else None
    return await completed(decision.reason, decision, name=name)
