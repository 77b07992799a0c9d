"""The command line."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from easee_load_balancer.commands.simulate import simulate
from easee_load_balancer.errors import BalancerError
from easee_load_balancer.orchestration.own_addresses import HOME, SITE_PATTERN
from easee_load_balancer.orchestration.stack_environment import stack_environment
from easee_load_balancer.system.hardening import harden_process
from easee_load_balancer.system.locks import SiteBusy
from easee_load_balancer.system.processes import interrupt_on_signals
from easee_load_balancer.system.settings import Settings

ServerPort = Annotated[
    int, typer.Option(min=1, max=65_535, help="Port of the Prefect server and its web pages.")
]


def _site_name(name: str | None) -> str | None:
    if name is not None and not re.fullmatch(SITE_PATTERN, name):
        raise typer.BadParameter("use at most 60 lower-case letters, digits and hyphens.")
    return name


def _group_name(name: str | None) -> str | None:
    return _site_name(name) if name else name


SiteName = Annotated[
    str,
    typer.Option(
        "--site", metavar="NAME", callback=_site_name, help="Which of several sites: cabin, ..."
    ),
]
app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False)
UserName = Annotated[
    str | None, typer.Option(envvar="EASEE_USER_NAME", help="User name of the Easee login.")
]
ChargerId = Annotated[
    str | None, typer.Option(metavar="ID", help="First charger if there are several.")
]
MainFuse = Annotated[
    str | None, typer.Option(metavar="AMPERES", help="Main fuse of the house per phase.")
]
TimeZoneName = Annotated[
    str | None, typer.Option(metavar="NAME", help="IANA name. Default: this machine's.")
]
Currency = Annotated[str | None, typer.Option(help="Currency of the prices.")]
ImportPrice = Annotated[
    str | None, typer.Option(metavar="PRICE", help="What a kWh from the grid costs.")
]
ExportPrice = Annotated[
    str | None, typer.Option(metavar="PRICE", help="What a kWh sold to the grid earns.")
]
MeterBackwards = Annotated[
    bool | None,
    typer.Option(
        "--meter-backwards/--no-meter-backwards",
        help="Whether the grid meter's sign is the opposite of the documented one.",
    ),
]
Calibrate = Annotated[
    bool,
    typer.Option(
        "--calibrate", help="Prove the meter's sign by changing the charging car's current."
    ),
]


@app.callback()
def main() -> None:
    """Charge the car with surplus solar power."""
    os.environ.setdefault("DO_NOT_TRACK", "1")  # else Prefect reports each new user
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # our own errors say more
    harden_process()


app.command()(simulate)


@app.command()
def demo(
    cycles: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many completed cycles.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Folder for the demo's data.")] = Path(".demo"),
) -> None:
    """Run the whole product with a simulated house, without hardware, until Ctrl-C."""
    from easee_load_balancer.commands.demo import run_demo  # Prefect takes seconds to import

    interrupt_on_signals()
    with _exit_on_error(1):
        good = run_demo(Path.cwd(), folder.resolve(), cycles, _console())
    raise typer.Exit(0 if good else 1)


@app.command()
def setup(
    site: SiteName = HOME,
    user_name: UserName = None,
    charger: ChargerId = None,
    inverter: Annotated[
        str | None,
        typer.Option(metavar="HOST[:PORT]", help="Address of the inverter or its dongle."),
    ] = None,
    unit_id: Annotated[
        int | None, typer.Option(min=0, max=247, help="The inverter's Modbus unit ID, if known.")
    ] = None,
    search: Annotated[
        bool, typer.Option("--search", help="Search the local network (/24) for the inverter.")
    ] = False,
    asleep: Annotated[
        bool, typer.Option("--asleep", help="Save without testing (inverter asleep).")
    ] = False,
    meter_backwards: MeterBackwards = None,
    calibrate: Calibrate = False,
    fuse: MainFuse = None,
    time_zone: TimeZoneName = None,
    currency: Currency = None,
    import_price: ImportPrice = None,
    export_price: ExportPrice = None,
    api: Annotated[
        str | None, typer.Option(metavar="URL", help="Easee API of a simulated house.")
    ] = None,
    port: ServerPort = 4200,
) -> None:
    """Set up your house: login, charger, inverter, main fuse, prices. Enter keeps a saved value.

    Type the password, or set the environment variable EASEE_PASSWORD.
    """
    from easee_load_balancer.commands.setup import run_setup
    from easee_load_balancer.commands.setup_answers import Answers
    from easee_load_balancer.commands.setup_wizard import SEARCH

    if search and inverter:
        raise typer.BadParameter("Use either --inverter or --search.")
    answers = Answers(
        site=site,
        user_name=user_name,
        password=os.environ.get("EASEE_PASSWORD") or None,
        api=api,
        charger=charger,
        inverter=SEARCH if search else inverter,
        unit_id=unit_id,
        asleep=asleep,
        meter_backwards=meter_backwards,
        calibrate=calibrate,
        fuse=fuse,
        time_zone=time_zone,
        currency=currency,
        import_price=import_price,
        export_price=export_price,
    )
    interrupt_on_signals()
    with _exit_on_error(1):
        run_setup(Path.cwd(), port, answers, _console())


@app.command()
def check(
    watch: Annotated[bool, typer.Option("--watch", help="Repeat every 30 s until Ctrl-C.")] = False,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Instead, prove which way the grid meter counts. If the car is charging, its "
            "current is changed for a minute or two.",
        ),
    ] = False,
    site: SiteName = HOME,
    port: ServerPort = 4200,
) -> None:
    """Read everything once and show what would be sent and why; nothing is sent.

    Exit code 0: everything could be read; 1: something could not; 2: nothing was read, for
    example before `setup`.
    """
    from easee_load_balancer.commands.calibrate import run_calibration
    from easee_load_balancer.commands.check import run_check

    interrupt_on_signals()
    if calibrate:
        with _exit_on_error(2):
            raise typer.Exit(0 if run_calibration(Path.cwd(), port, _console(), site) else 1)
    with _exit_on_error(2):
        raise typer.Exit(0 if run_check(Path.cwd(), port, watch, _console(), site) else 1)


@app.command()
def deploy(
    site: Annotated[
        str | None,
        typer.Option(metavar="NAME", callback=_site_name, help="A further site to deploy."),
    ] = None,
    pool: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Work pool for that site's runs. Default: as before."),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            callback=_group_name,
            help="Combine that site's cycles with those of other sites in one run, for owners of "
            "many; '' separates them again.",
        ),
    ] = None,
    port: ServerPort = 4200,
) -> None:
    """Deploy after an update or a change of the time zone; `up` does this by itself.

    Brings all deployed sites up to date.
    """
    from easee_load_balancer.commands.prefect_server import run_deploy

    if site is None and (pool is not None or group is not None):
        raise typer.BadParameter("--pool and --group are for a further site: name it with --site.")
    interrupt_on_signals()
    with _exit_on_error(1):
        run_deploy(Path.cwd(), port, site, pool, group, _console())


@app.command()
def up(port: ServerPort = 4200) -> None:
    """Run the balancer: Prefect server, deployments and worker, until Ctrl-C."""
    with _exit_on_error(1):
        folder = Settings().folder
        os.environ.update(stack_environment(folder, port, folder))  # before Prefect is imported
        from easee_load_balancer.commands.up import run_up

        run_up(Path.cwd(), port, _console())


def _console(*, stderr: bool = False) -> Console:
    console = Console(stderr=stderr, highlight=False)
    console.soft_wrap = not console.is_terminal  # keep lines whole in a log
    return console


@contextmanager
def _exit_on_error(code: int) -> Iterator[None]:
    """Exit with that code and a message instead of a traceback."""
    from easee_load_balancer.commands.output import print_error, print_failure

    try:
        yield
        return
    except BalancerError as error:
        print_error(_console(stderr=True), error)
    except SiteBusy as busy:
        print_failure(_console(stderr=True), f"Try again in a minute: {busy}.", ())
    raise typer.Exit(code)


if __name__ == "__main__":
    app()
