"""`easee-balancer check`: read everything once and decide; nothing is sent or stored."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prefect import get_client
from rich.console import Console
from rich.text import Text

from easee_load_balancer.commands import warnings
from easee_load_balancer.commands.output import (
    print_addresses,
    print_failure,
    print_table,
    print_warnings,
)
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
from easee_load_balancer.devices.huawei.battery_control import BatteryControl
from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.devices.huawei.discovery import Finding, identify_service
from easee_load_balancer.devices.huawei.hold_record import HoldFile, record_path
from easee_load_balancer.devices.huawei.identity import Identity, identify
from easee_load_balancer.errors import (
    BalancerError,
    ChargerUnknown,
    HistoryError,
    HoldImpossible,
    InverterError,
    InverterUnreachable,
)
from easee_load_balancer.history.store import open_history
from easee_load_balancer.history.tables import Cycle
from easee_load_balancer.measurements import ChargerState, InverterReading, Setpoint
from easee_load_balancer.orchestration.blocks import Site
from easee_load_balancer.orchestration.own_addresses import ui_address
from easee_load_balancer.orchestration.prefect_stack import POOL
from easee_load_balancer.orchestration.sites import pool_of
from easee_load_balancer.reports.cycle_text import car_rows, charger_rows, inverter_rows
from easee_load_balancer.system.locks import worker_runs
from easee_load_balancer.system.processes import HOST
from easee_load_balancer.system.settings import Settings
from easee_load_balancer.system.site_writer import no_cycle

WATCH_EVERY_S = 30.0
_RECENT = timedelta(minutes=2)
"""A running balancer's last cycle is no older than this."""


@dataclass(slots=True)
class _Findings:
    """What one check found."""

    inverter: InverterReading | None = None
    identity: Identity | None = None
    hold: str | None = None
    """Whether the battery can be held; None unless the policy wants that."""
    charger: ChargerState | None = None
    found: FoundCharger | None = None
    controls: Controls | None = None
    failures: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    """Messages with their usual causes."""


def run_check(
    project: Path, port: int, watch: bool, console: Console, name: str = Site.DEFAULT
) -> bool:
    """Check once, or repeatedly with `watch`; whether everything could be read.

    Raises BalancerError if blocks are missing or there is no Prefect server.
    """
    ui = ui_address() or f"http://{HOST}:{port}"
    with prefect_server(project, port, console):
        site = asyncio.run(Site.load(name))
        with get_client(sync_client=True) as client:
            pool = pool_of(client, name) or POOL
    good = True
    check = _Check(site, pool, console)
    try:
        while True:
            good = check.run()
            if not watch:
                console.print("\nWhile the balancer runs, its pages are at")
                print_addresses(console, ui, name)
                return good
            time.sleep(WATCH_EVERY_S)
            console.print()
    except KeyboardInterrupt:
        if not watch:
            raise
    return good


class _Check:
    """Checks of one house; each continues from the state after the previous one."""

    def __init__(self, site: Site, pool: str, console: Console) -> None:
        self._site, self._pool = site, pool
        self._console = console
        self._folder = Settings().folder
        self._state: ControllerState | None = None
        self._found: FoundCharger | None = None

    def run(self) -> bool:
        """Read, decide and print; whether everything could be read."""
        site, findings = self._site, _Findings(found=self._found)
        last, boost = None, None
        try:
            last, boost = _from_history(site.name)
        except HistoryError as error:
            findings.failures.append((str(error), ()))
        if last is not None and worker_runs(self._folder, self._pool) and _is_good(last):
            asyncio.run(_read_charger(site, self._folder, findings))
            _print_last_cycle(site, last, findings, self._console)
        else:
            if self._state is None:
                saved = last.controller_state if last else {}
                self._state = ControllerState.model_validate(saved)
            with (
                no_cycle(site.name),
                self._console.status("Reading inverter and charger ..."),
            ):
                asyncio.run(_read(site, self._state, self._folder, findings))
            self._state = _decide_and_print(site, findings, self._state, boost, self._console)
        self._found = findings.found
        return not findings.failures


async def _read(site: Site, state: ControllerState, folder: Path, findings: _Findings) -> None:
    """Inverter and charger at the same time."""
    await asyncio.gather(
        _read_inverter(site, findings, night=state.is_night(datetime.now(UTC))),
        _read_charger(site, folder, findings),
    )


async def _read_inverter(site: Site, findings: _Findings, *, night: bool) -> None:
    inverter = Inverter(site.inverter)
    try:
        findings.inverter = await inverter.read(night=night)
        if not findings.inverter.asleep:
            findings.identity = await identify(inverter)
            if site.policy.hold_battery and findings.identity.has_battery:
                findings.hold = await _hold_support(inverter, site.name)
    except InverterError as error:
        finding: Finding | None = None
        if isinstance(error, InverterUnreachable):
            finding = await identify_service(site.inverter.host, site.inverter.port)
        message = str(error)
        if finding is not None and finding is not Finding.SILENT:
            message = finding.value.format(where=f"{site.inverter.host}:{site.inverter.port}")
        findings.failures.append((message, usual_causes(error, finding)))
    finally:
        await inverter.close()
    if findings.identity is not None and not findings.identity.meter_online:
        findings.failures.append(("The inverter's grid meter does not answer.", METER_OFFLINE))


async def _hold_support(inverter: Inverter, site: str) -> str:
    """Whether this plant has what holding its battery needs, without writing."""
    try:
        store = HoldFile(record_path(Settings().folder, site))
        await BatteryControl(inverter, store).check_possible()
    except HoldImpossible as error:
        return str(error)
    return "possible: the inverter has the registers; the first hold shows if it accepts writes"


async def _read_charger(site: Site, folder: Path, findings: _Findings) -> None:
    easee = EaseeClient(site.credentials, folder)
    try:
        findings.charger, findings.controls = await easee.state_and_controls(site.charger)
        findings.found = findings.found or await _locate(easee, site.charger)
        if not findings.charger.online:
            findings.failures.append(("The charger is offline.", CHARGER_OFFLINE))
    except BalancerError as error:
        findings.failures.append((str(error), usual_causes(error)))
    finally:
        await easee.close()


async def _locate(easee: EaseeClient, charger: ChargerAddress) -> FoundCharger:
    """The charger's site and circuit. Raises a ChargerError, also if they are not as saved."""
    site = await easee.site_of(charger.charger_id)
    circuit = site.circuit_of(charger.charger_id)
    if circuit is None or (site.id, circuit.id) != (charger.site_id, charger.circuit_id):
        raise ChargerUnknown(
            f"The charger {charger.charger_id} is no longer on site {charger.site_id}, circuit "
            f"{charger.circuit_id}."
        )
    name = next(one.name for one in circuit.chargers if one.id == charger.charger_id)
    return FoundCharger(charger.charger_id, name, site, circuit)


def _decide_and_print(
    site: Site, findings: _Findings, state: ControllerState, boost: Boost | None, console: Console
) -> ControllerState:
    """Decide and print; returns the state for the next check."""
    now = datetime.now(UTC)
    inverter = findings.inverter or InverterReading.unknown(now)
    charger = findings.charger or ChargerState.unknown(now)
    boost = boost and boost.after(now, charger)
    if boost is not None and boost.ended(now):
        boost = None
    decision = decide(CycleInputs(now, inverter, charger, site.policy, site.tariff, boost), state)
    print_table(
        console,
        f"{now.astimezone():%Y-%m-%d %H:%M:%S}",
        [
            ("Inverter", f"{findings.identity or 'unknown'} at {site.inverter}"),
            *inverter_rows(inverter),
            *([("Battery hold", findings.hold)] if findings.hold else ()),
            ("Charger", str(findings.found or site.charger.charger_id)),
            *charger_rows(charger, now),
            *car_rows(decision.state),
            ("Would send", _command(decision.setpoint, decision.push)),
            ("Reason", decision.reason),
        ],
    )
    _print_warnings(site, findings, console)
    return decision.state


def _print_warnings(site: Site, findings: _Findings, console: Console) -> None:
    state = findings.charger
    if state is not None:
        console.print(Text(warnings.when_unattended(state, site.policy)))
    found = [
        *(warnings.of_inverter(findings.identity) if findings.identity else ()),
        *(
            warnings.of_charger(findings.found, state, findings.controls, site.others)
            if findings.found and state and findings.controls
            else ()
        ),
    ]
    if state is not None:
        phases = findings.inverter.meter_phases if findings.inverter else None
        found += [*warnings.of_phases(state, phases), *warnings.of_fallback(state, site.policy)]
    print_warnings(console, found)
    for message, causes in findings.failures:
        print_failure(console, message, causes)
    if not findings.failures:
        console.print(Text("Everything could be read. This check sent nothing.", "green"))


def _print_last_cycle(site: Site, last: Cycle, findings: _Findings, console: Console) -> None:
    """Print the running balancer's last cycle, as the inverter serves one client at a time."""
    now = datetime.now(UTC)
    setpoint = None
    if last.setpoint_a is not None:
        setpoint = Setpoint(last.setpoint_a, 1 if last.setpoint_phases == 1 else 3)
    done = {"pushed": " (sent)", "held": " (unchanged)"}.get(last.outcome, "")
    console.print(
        f"The balancer is running on this machine, and the inverter serves one client at a time. "
        f"This is its last cycle, {(now - last.at).total_seconds():.0f} s ago, with the charger's "
        "present state."
    )
    print_table(
        console,
        f"{last.at.astimezone():%Y-%m-%d %H:%M:%S}",
        [
            ("Inverter", f"{site.inverter}"),
            *inverter_rows(_reading(last)),
            ("Charger", str(findings.found or site.charger.charger_id)),
            *(charger_rows(findings.charger, now) if findings.charger else ()),
            *car_rows(ControllerState.model_validate(last.controller_state)),
            ("Setpoint", f"{setpoint or 'none'}{done}"),
            ("Reason", last.reason),
        ],
    )
    _print_warnings(site, findings, console)


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


def _from_history(site: str) -> tuple[Cycle | None, Boost | None]:
    """The newest cycle and the active boost, if any; a check creates no history."""
    settings = Settings()
    if settings.history_url is None and not (settings.folder / "history.db").exists():
        return None, None
    history = open_history(settings.database_url)
    row = history.boosts.under_way(site)
    return history.last_cycle(site), row.request if row else None


def _is_good(last: Cycle) -> bool:
    """Whether the last cycle is recent and read everything."""
    return last.outcome != "failed" and abs(datetime.now(UTC) - last.at) < _RECENT


def _command(setpoint: Setpoint | None, push: bool) -> str:
    if setpoint is None:
        return "nothing: the charger is left alone"
    if not push:
        return f"nothing: the circuit has {setpoint} already"
    amps = " / ".join(f"{one}" for one in setpoint.circuit_current_a)
    minutes = TIME_TO_LIVE.total_seconds() / 60
    return f"{setpoint}: circuit current {amps} A on L1 / L2 / L3, for {minutes:.0f} minutes"
