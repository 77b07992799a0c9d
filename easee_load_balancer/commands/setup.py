"""`easee-balancer setup`: a few questions, then blocks and deployments.

Nothing is saved before the last question has been answered.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from easee_load_balancer.commands import warnings as cautions
from easee_load_balancer.commands.output import tell_cautions, tell_rows
from easee_load_balancer.commands.prefect_server import prefect_server
from easee_load_balancer.commands.setup_wizard import Answers, Interview, Saved, block_with
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.devices.easee.discovery import FoundCharger
from easee_load_balancer.devices.easee.observations import Controls
from easee_load_balancer.devices.huawei.client import InverterAddress
from easee_load_balancer.devices.huawei.identity import Identity
from easee_load_balancer.measurements import ChargerState
from easee_load_balancer.orchestration.blocks import EaseeCharger, Site, save_site


def run_setup(project: Path, port: int, answers: Answers, console: Console) -> None:
    """Ask, try, save, deploy. Raises BalancerError or StartError; then nothing has been saved."""
    with prefect_server(project, port, console) as server:
        ask_and_save(answers, console)
        with console.status("Deploying ..."):
            server.deploy(project)
    console.print("Saved and deployed. `easee-balancer check` shows what the balancer would do,")
    console.print("`easee-balancer up` starts it; if it runs, the next cycle uses the new values.")


def ask_and_save(answers: Answers, console: Console) -> None:
    """Ask, try, show what was found, save. Raises BalancerError; then nothing has been saved."""
    saved = asyncio.run(Saved.load(Site.DEFAULT))
    interview = Interview(answers, console, saved)
    credentials = interview.log_in()
    charger = interview.choose_charger(credentials)
    inverter, identity = interview.find_inverter()
    policy = interview.ask_fuse(charger)
    state, controls = interview.look_at(credentials, charger)
    tell_rows(console, "What was found", _rows(charger, inverter, identity, policy))
    console.print(Text(cautions.when_unattended(state, policy)))
    tell_cautions(console, _cautions(charger, state, controls, identity, policy))
    charger_block = block_with(
        EaseeCharger, saved.charger, **charger.address.model_dump(), credentials=credentials
    )
    with _uninterrupted():
        asyncio.run(save_site(Site.DEFAULT, credentials, charger_block, inverter, policy))


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait for what must not be half done."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _rows(
    charger: FoundCharger, inverter: InverterAddress, identity: Identity | None, policy: Policy
) -> list[tuple[str, str]]:
    rated_a = charger.circuit.rated_current
    rows = [
        ("Charger", str(charger)),
        ("Circuit", f"{charger.circuit.id}" + (f", {rated_a:g} A" if rated_a else "")),
        ("Inverter", f"{identity or 'not tested'} at {inverter}"),
    ]
    if identity is not None:
        rows += [("Grid meter", identity.meter), ("Battery", identity.battery)]
    return [*rows, ("Main fuse", f"{policy.main_fuse_a} A per phase")]


def _cautions(
    charger: FoundCharger,
    state: ChargerState,
    controls: Controls,
    identity: Identity | None,
    policy: Policy,
) -> list[str]:
    return [
        *(cautions.of_inverter(identity) if identity else ()),
        *cautions.of_charger(charger, state, controls),
        *cautions.of_both(
            state, identity.meter_phases if identity and identity.meter_online else None
        ),
        *cautions.of_fallback(state, policy),
    ]
