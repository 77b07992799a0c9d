"""`easee-balancer setup`: ask a few questions, then save blocks and deploy.

Nothing is saved until the last question is answered.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prefect import get_client
from rich.console import Console
from rich.text import Text

from easee_load_balancer.commands import warnings
from easee_load_balancer.commands.output import print_table, print_warnings
from easee_load_balancer.commands.prefect_server import deploy_for, prefect_server
from easee_load_balancer.commands.prompts import Prompts
from easee_load_balancer.commands.setup_answers import Answers
from easee_load_balancer.commands.setup_preferences import (
    ask_prices,
    ask_time_zone,
    save_time_zone,
    saved_time_zone,
)
from easee_load_balancer.commands.setup_wizard import SavedBlocks, SetupWizard, block_with
from easee_load_balancer.commands.several_chargers import ask_others, beside
from easee_load_balancer.control.policy import Policy
from easee_load_balancer.devices.easee.discovery import FoundCharger
from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.identity import Identity
from easee_load_balancer.orchestration.blocks import EaseeCharger, Site, Tariff, load_if_saved
from easee_load_balancer.orchestration.other_chargers import OtherChargers
from easee_load_balancer.orchestration.sites import pause_home


def run_setup(project: Path, port: int, answers: Answers, console: Console) -> None:
    """Ask, test, save and deploy. Raises BalancerError; then nothing has been saved."""
    with prefect_server(project, port, console) as env:
        is_new = asyncio.run(load_if_saved(EaseeCharger, answers.site)) is None
        ask_and_save(answers, console)
        with console.status("Deploying ..."):
            deploy_for(answers.site, project, env)
            if is_new and answers.site == Site.DEFAULT:
                with get_client(sync_client=True) as client:
                    pause_home(client, paused=False)  # paused while only other sites were set up
    console.print(
        "Saved and deployed. `easee-balancer check` shows what the balancer would do, "
        "`easee-balancer up` starts it. If it is running, the next cycle uses this setup."
    )


def ask_and_save(answers: Answers, console: Console) -> None:
    """Ask, test, show the findings and save. Raises BalancerError; then nothing has been saved."""
    site = answers.site
    saved = asyncio.run(SavedBlocks.load(site))
    wizard = SetupWizard(answers, console, saved)
    wizard.require_answers()
    credentials, charger = wizard.find_charger()
    is_same = saved.charger is not None and saved.charger.charger_id == charger.id
    others = _ask_others(site, charger, wizard.account_chargers, console, is_same=is_same)
    policy = wizard.ask_fuse(charger)
    prompts = Prompts(console)
    zone = ask_time_zone(prompts, answers, saved_time_zone(site))
    tariff = ask_prices(prompts, answers, asyncio.run(load_if_saved(Tariff, site)))
    inverter, identity = wizard.find_inverter()
    state, controls, permitted = wizard.read_charger(credentials, charger)
    if identity is not None and identity.meter_online:
        wizard.prove_sign(inverter, credentials, charger, state, policy)
    meter_phases = identity.meter_phases if identity and identity.meter_online else None
    print_table(console, "Your house", _rows(charger, inverter, identity, policy, zone))
    console.print(Text(warnings.when_unattended(state, policy)))
    print_warnings(
        console,
        [
            *(warnings.of_inverter(identity) if identity else ()),
            *warnings.of_role(permitted),
            *warnings.of_charger(charger, state, controls, others),
            *warnings.of_phases(state, meter_phases),
            *warnings.of_fallback(state, policy),
        ],
    )
    charger_block = block_with(EaseeCharger, saved.charger, **charger.address.model_dump())
    with _uninterrupted():
        blocks = (inverter, charger_block, credentials, policy, tariff or Tariff())
        asyncio.run(Site(site, *blocks, others=others).save())
        save_time_zone(site, zone)


def _ask_others(
    site: str,
    charger: FoundCharger,
    found: Sequence[FoundCharger],
    console: Console,
    *,
    is_same: bool,
) -> OtherChargers | None:
    """The further chargers of the home; a home with one charger is asked nothing.

    `is_same`: the first charger is the one that was set up before.
    """
    others = beside(charger, found)
    if not others:
        return None
    saved = asyncio.run(load_if_saved(OtherChargers, site))
    first_name = saved.first_name if saved and is_same else None
    return ask_others(Prompts(console), console, charger, others, saved, first_name)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C and SIGTERM, so that all blocks are saved or none."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _rows(
    charger: FoundCharger,
    inverter: InverterAddress,
    identity: Identity | None,
    policy: Policy,
    zone: str,
) -> list[tuple[str, str]]:
    rated_a = charger.circuit.rated_current
    rows = [
        ("Charger", str(charger)),
        ("Circuit", f"{charger.circuit.id}" + (f", {rated_a:g} A" if rated_a else "")),
        ("Inverter", f"{identity or 'not tested'} at {inverter}"),
    ]
    if identity is not None:
        rows += [("Grid meter", identity.meter), ("Battery", identity.battery)]
    return [*rows, ("Main fuse", f"{policy.main_fuse_a} A per phase"), ("Time zone", zone)]
