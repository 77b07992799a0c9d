"""The control cycle: scheduled every few seconds, all day."""

from __future__ import annotations

from asyncio import gather
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from easee_load_balancer.blocks import Site, SiteName
from easee_load_balancer.control import Decision, Memory
from easee_load_balancer.errors import BalancerError, ChargerError
from easee_load_balancer.history import Cycle
from easee_load_balancer.links import LINKS
from easee_load_balancer.lock import SiteBusy, only_writer
from easee_load_balancer.readings import ChargerState, InverterReading
from easee_load_balancer.settings import Settings
from easee_load_balancer.wording import cycle_line
from tasks.charger import push_setpoint, read_charger
from tasks.history import load_last_cycle, record_cycle
from tasks.inverter import read_inverter
from tasks.run import Run, completed, failed, superseded
from tasks.setpoint import compute_setpoint


@flow(name="balance", flow_run_name="balance {site}", timeout_seconds=28, persist_result=False)
async def balance(
    site: SiteName = Site.DEFAULT, latest_start_s: Annotated[int, Field(ge=1)] = 30
) -> State[Decision]:
    """One control cycle: read the house, decide, tell the charger, remember.

    Args:
        site: Name of the blocks that describe the home.
        latest_start_s: A cycle that starts later than this many seconds after it was due does
            nothing; a newer one is about to run.
    """
    run = Run.current()
    if run.delay > timedelta(seconds=latest_start_s):
        return await superseded(f"it was due {run.delay.total_seconds():.0f} s ago")
    try:
        setup = Site.last_known(site) if run.alone else await Site.load(site)
        with only_writer(Settings().folder, site):
            async with LINKS.held():
                cycle = await _cycle(setup, run)
    except SiteBusy as busy:
        return await superseded(str(busy))
    except BalancerError as error:
        return await failed(str(error))
    if cycle is None:
        return await superseded("a newer cycle has run already")
    return await _end(cycle)


async def _cycle(setup: Site, run: Run) -> _Done | None:
    """Read, decide, push and record; None, and nothing is touched, where a newer one has run."""
    last = await load_last_cycle(setup.name)
    if last is not None and last.scheduled_at >= run.scheduled_at:
        return None
    memory = Memory.model_validate(last.memory) if last else Memory()
    house = await _read_house(setup, night=memory.is_night(run.started_at))
    now = datetime.now(UTC)
    decision = compute_setpoint(now, house.inverter, house.charger, setup.policy, memory)
    if decision.push and decision.setpoint is not None:
        try:
            await push_setpoint(setup.charger, decision.setpoint)
            decision = decision.pushed(now)
        except ChargerError as error:
            house.failures.append(str(error))
    run.log(cycle_line(house.inverter, house.charger, setup.policy, decision))
    failure = " ".join(house.failures) or None
    await record_cycle(
        Cycle.of(
            site=setup.name,
            scheduled_at=run.scheduled_at,
            at=now,
            run_id=str(run.id or "without Prefect"),
            mode=setup.policy.mode,
            inverter=house.inverter,
            charger=house.charger,
            decision=decision,
            failure=failure,
        ),
        setup.charger,
    )
    return _Done(decision, failure, house.inverter.asleep)


async def _end(cycle: _Done) -> State[Decision]:
    if cycle.failure:
        return await failed(cycle.failure)
    name = "Asleep" if cycle.asleep else None
    return await completed(cycle.decision.reason, cycle.decision, name=name)


@dataclass(frozen=True, slots=True)
class _Done:
    decision: Decision
    failure: str | None
    asleep: bool


@dataclass(frozen=True, slots=True)
class _House:
    inverter: InverterReading
    charger: ChargerState
    failures: list[str]


async def _read_house(setup: Site, *, night: bool) -> _House:
    """Inverter and charger at the same time; what could not be read is unknown."""
    inverter, charger = await gather(
        read_inverter(setup.inverter, night=night),
        read_charger(setup.charger),
        return_exceptions=True,
    )
    failures = []
    for result in (inverter, charger):
        if isinstance(result, BalancerError):
            failures.append(str(result))
        elif isinstance(result, BaseException):
            raise result
    now = datetime.now(UTC)
    return _House(
        inverter if isinstance(inverter, InverterReading) else InverterReading.unknown(now),
        charger if isinstance(charger, ChargerState) else ChargerState.unknown(now),
        failures,
    )
