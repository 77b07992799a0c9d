"""`easee-balancer check`: one read of everything and one decision; nothing is written anywhere."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.text import Text

from easee_load_balancer.commands import warnings as cautions
from easee_load_balancer.commands.output import tell_cautions, tell_failure, tell_rows
from easee_load_balancer.commands.prefect_server import prefect_server
from easee_load_balancer.commands.troubleshooting import (
    CHARGER_OFFLINE,
    METER_OFFLINE,
    usual_causes,
)
from easee_load_balancer.control.boost import Boost
from easee_load_balancer.control.controller import decide
from easee_load_balancer.control.cycle_inputs import CycleInputs
from easee_load_balancer.control.state import TIME_TO_LIVE, ControllerState
from easee_load_balancer.devices.easee.client import EaseeClient
from easee_load_balancer.devices.easee.discovery import FoundCharger
from easee_load_balancer.devices.easee.models import ChargerAddress
from easee_load_balancer.devices.easee.observations import Controls
from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.devices.huawei.discovery import Finding, identify_service
from easee_load_balancer.devices.huawei.identity import Identity, identify
from easee_load_balancer.errors import (
    BalancerError,
    ChargerUnknown,
    InverterError,
    InverterUnreachable,
)
from easee_load_balancer.history.store import open_history
from easee_load_balancer.history.tables import Cycle
from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.reports.cycle_text import charger_rows, inverter_rows
from easee_load_balancer.system.locks import no_cycle, worker_runs
from easee_load_balancer.system.settings import Settings

WATCH_EVERY_S = 30.0
_POOL = "home"
_RECENT = timedelta(minutes=2)
"""A last cycle that is younger shows what the balancer does."""


@dataclass(slots=True)
class _Seen:
    """What one look at the house has brought."""

    inverter: InverterReading | None = None
    identity: Identity | None = None
    charger: ChargerState | None = None
    found: FoundCharger | None = None
    controls: Controls | None = None
    failures: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    """Sentences with their usual causes."""


def run_check(project: Path, port: int, watch: bool, console: Console) -> bool:
    """Look, decide and tell, again and again with `watch`; whether all could be read.

    Raises BalancerError when the blocks are missing, StartError without a server.
    """
    with prefect_server(project, port, console):
        site = asyncio.run(Site.load(Site.DEFAULT))
    good = True
    rounds = _Rounds(site, console)
    try:
        while True:
            good = rounds.look_once()
            if not watch:
                return good
            time.sleep(WATCH_EVERY_S)
            console.print()
    except KeyboardInterrupt:
        if not watch:
            raise
    return good


class _Rounds:
    """Looks at the house, each of which knows what the one before has brought."""

    def __init__(self, site: Site, console: Console) -> None:
        self._site = site
        self._console = console
        self._folder = Settings().folder
        self._state: ControllerState | None = None
        self._found: FoundCharger | None = None

    def look_once(self) -> bool:
        """Look, decide and tell; whether all could be read."""
        site, seen = self._site, _Seen(found=self._found)
        last, boost = _past(site.name)
        if last is not None and worker_runs(self._folder, _POOL) and _shows_all(last):
            asyncio.run(_look_at_charger(site, self._folder, seen))
            _tell_last(site, last, seen, self._console)
        else:
            if self._state is None:
                self._state = (
                    ControllerState.model_validate(last.controller_state)
                    if last
                    else ControllerState()
                )
            with (
                no_cycle(self._folder, site.name),
                self._console.status("Reading inverter and charger ..."),
            ):
                asyncio.run(_look(site, self._state, self._folder, seen))
            self._state = _tell(site, seen, self._state, boost, self._console)
        self._found = seen.found
        return not seen.failures


async def _look(site: Site, state: ControllerState, folder: Path, seen: _Seen) -> None:
    """Inverter and charger at the same time."""
    await asyncio.gather(
        _look_at_inverter(site, seen, night=state.is_night(datetime.now(UTC))),
        _look_at_charger(site, folder, seen),
    )


async def _look_at_inverter(site: Site, seen: _Seen, *, night: bool) -> None:
    inverter = Inverter(site.inverter)
    try:
        seen.inverter = await inverter.read(night=night)
        if not seen.inverter.asleep:
            seen.identity = await identify(inverter)
    except InverterError as error:
        finding: Finding | None = None
        if isinstance(error, InverterUnreachable):
            finding = await identify_service(site.inverter.host, site.inverter.port)
        sentence = str(error)
        if finding is not None and finding is not Finding.SILENT:
            sentence = finding.value.format(where=f"{site.inverter.host}:{site.inverter.port}")
        seen.failures.append((sentence, usual_causes(error, finding)))
    finally:
        await inverter.close()
    if seen.identity is not None and not seen.identity.meter_online:
        seen.failures.append(("The inverter's grid meter does not answer.", METER_OFFLINE))


async def _look_at_charger(site: Site, folder: Path, seen: _Seen) -> None:
    easee = EaseeClient(site.charger.credentials, folder)
    try:
        seen.charger, seen.controls = await easee.state_and_controls(site.charger)
        seen.found = seen.found or await _place_of(easee, site.charger)
        if not seen.charger.online:
            seen.failures.append(("The charger is offline.", CHARGER_OFFLINE))
    except BalancerError as error:
        seen.failures.append((str(error), usual_causes(error)))
    finally:
        await easee.close()


async def _place_of(easee: EaseeClient, charger: ChargerAddress) -> FoundCharger:
    """Where the charger is. Raises a ChargerError, also where that is not what was saved."""
    place = await easee.site_of(charger.charger_id)
    circuit = place.circuit_of(charger.charger_id)
    if circuit is None or (place.id, circuit.id) != (charger.site_id, charger.circuit_id):
        raise ChargerUnknown(
            f"The charger {charger.charger_id} is no longer on site {charger.site_id}, circuit "
            f"{charger.circuit_id}."
        )
    name = next(one.name for one in circuit.chargers if one.id == charger.charger_id)
    return FoundCharger(charger.charger_id, name, place, circuit)


def _tell(
    site: Site, seen: _Seen, state: ControllerState, boost: Boost | None, console: Console
) -> ControllerState:
    """Decide and show; the state for the next look."""
    now = datetime.now(UTC)
    inverter = seen.inverter or InverterReading.unknown(now)
    charger = seen.charger or ChargerState.unknown(now)
    boost = boost and boost.after(now, charger)
    if boost is not None and boost.ended(now):
        boost = None
    decision = decide(CycleInputs(now, inverter, charger, site.policy, boost=boost), state)
    tell_rows(
        console,
        f"{now.astimezone():%Y-%m-%d %H:%M:%S}",
        [
            ("Inverter", f"{seen.identity or 'not known'} at {site.inverter}"),
            *inverter_rows(inverter),
            ("Charger", str(seen.found or site.charger.charger_id)),
            *charger_rows(charger, now),
            ("Would send", _command(decision.setpoint, decision.push)),
            ("Because", decision.reason),
        ],
    )
    _tell_rest(site, seen, console)
    return decision.state


def _tell_rest(site: Site, seen: _Seen, console: Console) -> None:
    state = seen.charger
    if state is not None:
        console.print(Text(cautions.when_unattended(state, site.policy)))
    found = [
        *(cautions.of_inverter(seen.identity) if seen.identity else ()),
        *(
            cautions.of_charger(seen.found, state, seen.controls)
            if seen.found and state and seen.controls
            else ()
        ),
    ]
    if state is not None:
        phases = seen.inverter.meter_phases if seen.inverter else None
        found += [*cautions.of_both(state, phases), *cautions.of_fallback(state, site.policy)]
    tell_cautions(console, found)
    for sentence, causes in seen.failures:
        tell_failure(console, sentence, causes)
    if not seen.failures:
        console.print(Text("Everything could be read; this check sent nothing.", "green"))


def _tell_last(site: Site, last: Cycle, seen: _Seen, console: Console) -> None:
    """What the balancer that runs here did last: the inverter serves nobody beside it."""
    now = datetime.now(UTC)
    setpoint = None
    if last.setpoint_a is not None:
        setpoint = Setpoint(last.setpoint_a, 1 if last.setpoint_phases == 1 else 3)
    done = "sent" if last.outcome == "pushed" else "as it was"
    console.print(
        f"The balancer is running here, and the inverter serves one client at a time: this is its "
        f"last cycle, {(now - last.at).total_seconds():.0f} s ago, and the charger now."
    )
    tell_rows(
        console,
        f"{last.at.astimezone():%Y-%m-%d %H:%M:%S}",
        [
            ("Inverter", f"{site.inverter}"),
            *inverter_rows(_reading(last)),
            ("Charger", str(seen.found or site.charger.charger_id)),
            *(charger_rows(seen.charger, now) if seen.charger else ()),
            ("Setpoint", f"{setpoint or 'none'} ({done})"),
            ("Because", last.reason),
        ],
    )
    _tell_rest(site, seen, console)


def _reading(last: Cycle) -> InverterReading:
    return InverterReading(
        taken_at=last.at,
        grid_export_w=last.grid_export_w,
        battery_charge_w=last.battery_charge_w,
        battery_soc_pct=last.battery_soc_pct,
        has_battery=bool(last.controller_state.get("has_battery")),
        pv_w=last.pv_w,
        inverter_ac_w=last.inverter_ac_w,
        asleep=last.outcome == "asleep",
    )


def _past(site: str) -> tuple[Cycle | None, Boost | None]:
    """The newest cycle and the boost under way in the history, where there is one.

    A check makes no history.
    """
    settings = Settings()
    if settings.history_url is None and not (settings.folder / "history.db").exists():
        return None, None
    history = open_history(settings.database_url)
    row = history.boosts.under_way(site)
    return history.last_cycle(site), row.boost if row else None


def _shows_all(last: Cycle) -> bool:
    """Whether the last cycle is recent and read everything; else the house itself is looked at."""
    return last.outcome != "failed" and datetime.now(UTC) - last.at < _RECENT


def _command(setpoint: Setpoint | None, push: bool) -> str:
    if setpoint is None:
        return "nothing: the charger is left as it is"
    if not push:
        return f"nothing: the circuit has {setpoint} already"
    amps = " / ".join(f"{one}" for one in setpoint.circuit_current_a)
    minutes = TIME_TO_LIVE.total_seconds() / 60
    return f"{setpoint}: circuit current {amps} A on L1 / L2 / L3, for {minutes:.0f} minutes"
