"""The questions of `easee-balancer setup`; each device is tested as soon as it is known."""

from __future__ import annotations

import asyncio
import time
from asyncio import gather
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from prefect.blocks.core import Block
from prefect.context import AsyncClientContext
from pydantic import SecretStr, ValidationError
from rich.console import Console
from rich.text import Text

from easee_load_balancer.commands.calibrate import Calibrator
from easee_load_balancer.commands.output import print_error
from easee_load_balancer.commands.prompts import Prompts
from easee_load_balancer.commands.setup_answers import (
    Answers,
    endpoint_fields,
    host_and_port,
    line_number,
    not_empty,
    one_of,
    plant_fields,
    saved_address,
)
from easee_load_balancer.control.state import TIME_TO_LIVE
from easee_load_balancer.devices.easee.client import EaseeClient
from easee_load_balancer.devices.easee.discovery import FoundCharger, find_chargers
from easee_load_balancer.devices.easee.models import Account
from easee_load_balancer.devices.easee.observations import Controls
from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.discovery import (
    DONGLE_UNITS,
    PORTS,
    PROBE_TIMEOUTS,
    Found,
    NotFound,
    ProbeTimeouts,
    find_inverter,
    own_network,
    search,
)
from easee_load_balancer.devices.huawei.identity import Identity
from easee_load_balancer.energy.sign_proof import Sign
from easee_load_balancer.errors import (
    BadCredentials,
    ChargerError,
    ChargerUnknown,
    ConfigurationError,
    InverterNotFound,
    RateLimited,
    problems,
)
from easee_load_balancer.measurements import ChargerMode, ChargerState
from easee_load_balancer.orchestration.blocks import (
    ChargingPolicy,
    EaseeCharger,
    EaseeCredentials,
    HuaweiInverter,
    load_if_saved,
    load_if_valid,
)
from easee_load_balancer.system.settings import Settings
from easee_load_balancer.system.site_writer import no_cycle

SEARCH = "search"
USER_NAME, PASSWORD = "--user-name", "the environment variable EASEE_PASSWORD"
INVERTER = "--inverter or --search"
_PASSWORD_RETRIES = 2
_LONGEST_WAIT_S = 130.0

_AnyBlock = TypeVar("_AnyBlock", bound=Block)
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class SavedBlocks:
    """The blocks of an earlier setup."""

    credentials: EaseeCredentials | None
    charger: EaseeCharger | None
    inverter: HuaweiInverter | None
    policy: ChargingPolicy | None

    @classmethod
    async def load(cls, name: str) -> SavedBlocks:
        """Load the saved blocks. Raises ConfigurationError for one with wrong values.

        A login with wrong values is asked for as if there were none.
        """
        async with AsyncClientContext.get_or_create():
            return cls(
                *await gather(
                    load_if_valid(EaseeCredentials, name),
                    load_if_saved(EaseeCharger, name),
                    load_if_saved(HuaweiInverter, name),
                    load_if_saved(ChargingPolicy, name),
                )
            )


class SetupWizard:
    """Asks the questions and tests the answers."""

    def __init__(self, answers: Answers, console: Console, saved: SavedBlocks) -> None:
        self.saved = saved
        self._answers = answers
        self._console = console
        self._prompts = Prompts(console)
        self._folder = Settings().folder
        self.account_chargers: Sequence[FoundCharger] = ()

    def require_answers(self) -> None:
        """Without a terminal, raise ConfigurationError that names everything that is missing.

        The charger and the fuse may be known to the account.
        """
        answers, saved = self._answers, self.saved
        self._prompts.require(
            {
                USER_NAME: answers.user_name or saved.credentials,
                PASSWORD: answers.password or saved.credentials,
                INVERTER: answers.inverter or saved.inverter,
            }
        )

    def find_charger(self) -> tuple[EaseeCredentials, FoundCharger]:
        """Ask for the login and find the charger. Raises a ChargerError.

        Asks again after a wrong password, but not often: the cloud blocks repeated attempts.
        """
        credentials = self._log_in(self.saved.credentials)
        for _ in range(_PASSWORD_RETRIES):
            try:
                return credentials, self._choose_charger(credentials)
            except BadCredentials as error:
                if self._answers.password is not None or not self._prompts.interactive:
                    raise
                print_error(self._console, error)
            credentials = self._log_in(credentials, rejected=True)
        return credentials, self._choose_charger(credentials)

    def _log_in(
        self, saved: EaseeCredentials | None, *, rejected: bool = False
    ) -> EaseeCredentials:
        """Ask for user name and password; the next step tests them."""
        answers = self._answers
        user_name = self._prompts.ask(
            "Easee user name (phone number with +47... or e-mail)",
            USER_NAME,
            not_empty,
            given=answers.user_name,
            saved=saved.user_name if saved else None,
        )
        keep = saved is not None and saved.user_name == user_name and not rejected
        password = self._prompts.password(
            "Easee password",
            PASSWORD,
            answers.password,
            saved.password.get_secret_value() if keep and saved else None,
        )
        changes: dict[str, Any] = {"user_name": user_name, "password": SecretStr(password)}
        if answers.api is not None:
            changes["base_url"] = answers.api
        return block_with(EaseeCredentials, saved, **changes)

    def _choose_charger(self, account: Account) -> FoundCharger:
        """The only charger, or the one that the user chooses. Raises a ChargerError."""
        with self._console.status("Logging in and looking for chargers ..."):
            chargers = self.account_chargers = self._call_easee(account, find_chargers)
        if not chargers:
            raise ChargerUnknown("This Easee account has no charger on a circuit.")
        if len(chargers) == 1 and self._answers.charger is None:
            self._console.print(Text(f"Charger: {chargers[0]}"))
            return chargers[0]
        self._print_numbered(chargers)
        saved = self.saved.charger
        return self._prompts.ask(
            "Which charger (number or ID)",
            "--charger",
            lambda text: one_of(chargers, text),
            given=self._answers.charger,
            saved=saved.charger_id if saved else None,
        )

    def find_inverter(self) -> tuple[HuaweiInverter, Identity | None]:
        """Find the inverter; the identity is None if it is asleep."""
        answers, saved = self._answers, self.saved.inverter
        while True:
            host, port = self._prompts.ask(
                f"Address of the inverter ('{SEARCH}' scans the local network)",
                INVERTER,
                host_and_port,
                given=answers.inverter,
                saved=saved_address(saved) if saved else None,
                suggested=SEARCH,
            )
            try:
                found = self._search() if host == SEARCH else [self._test(host, port)]
            except InverterNotFound as error:
                print_error(self._console, error)
                address = self._untested(host, error)
                if address is not None:
                    return block_with(HuaweiInverter, saved, **endpoint_fields(address)), None
                if answers.inverter is not None or not self._prompts.interactive:
                    raise ConfigurationError("Nothing was saved.") from None
                continue
            one = self._choose(found)
            self._console.print(Text(f"Inverter at {one.address}: {one.identity}"))
            if len(one.devices) > 1:
                self._console.print("Devices behind this address:")
                self._print_numbered(one.devices)
            fields = plant_fields(one.address, saved)
            if answers.meter_backwards is not None:
                fields["meter_counts_backwards"] = answers.meter_backwards
            block = block_with(HuaweiInverter, saved, **fields)
            return block, one.identity

    def ask_fuse(self, charger: FoundCharger) -> ChargingPolicy:
        """Ask for the main fuse; the rest of the policy stays as saved."""
        saved, rated_a = self.saved.policy, charger.site.rated_current
        in_account = f"{rated_a:.0f}" if rated_a else None
        policy = self._prompts.ask(
            "Main fuse of the house per phase, in A",
            "--fuse",
            lambda text: _policy(saved, text),
            given=self._answers.fuse,
            saved=str(saved.main_fuse_a) if saved else in_account,
        )
        if not (self._answers.fuse or saved or self._prompts.interactive):
            self._console.print(
                f"Main fuse: {policy.main_fuse_a} A, as the Easee account says. "
                "--fuse sets another."
            )
        return policy

    def prove_sign(
        self,
        inverter: InverterAddress,
        account: Account,
        charger: FoundCharger,
        state: ChargerState,
        policy: ChargingPolicy,
    ) -> None:
        """Test which way the meter counts and say so; asks before it changes the car's current.

        Raises ConfigurationError for a wrong sign, else an InverterError or a ChargerError.
        """
        calibrator = Calibrator(inverter, account, charger.address, policy, self._folder, self._say)
        with self._no_cycle(), self._console.status("Testing the grid meter's sign ..."):
            found = asyncio.run(calibrator.run(may_step=False))
        if found.sign is not Sign.RIGHT and state.mode is ChargerMode.CHARGING:
            self._console.print(Text(found.sentence))
            prompt = "Change the car's current for two minutes to prove it"
            if self._prompts.confirm(prompt, self._answers.calibrate):
                with self._no_cycle():
                    found = asyncio.run(calibrator.run(may_step=True))
        if found.sign is Sign.WRONG:
            raise ConfigurationError(f"{found.sentence} Nothing was saved.")
        self._console.print(Text(found.sentence))

    def read_charger(
        self, account: Account, charger: FoundCharger
    ) -> tuple[ChargerState, Controls, bool | None]:
        """The charger's state, what else controls it, and whether this login may control it.

        The last is None if that cannot be found out. Raises a ChargerError.
        """

        async def look(easee: EaseeClient) -> tuple[ChargerState, Controls, bool | None]:
            state, controls = await easee.state_and_controls(charger.address)
            try:  # after a reading: a 403 without one would count as a block
                permitted = await easee.may_command(charger.address, state, TIME_TO_LIVE)
            except ChargerError:
                permitted = None
            return state, controls, permitted

        with self._no_cycle():
            return self._call_easee(account, look)

    def _search(self) -> list[Found]:
        network = own_network()
        if network is None:
            raise InverterNotFound(
                "This machine has no private network to search: enter the inverter's address."
            )
        return asyncio.run(search(network, say=self._say, alone=self._no_cycle))

    def _choose(self, found: Sequence[Found]) -> Found:
        if len(found) == 1:
            return found[0]
        self._print_numbered([f"{one.address}: {one.identity}" for one in found])
        return self._prompts.ask(
            "Which inverter has the grid meter (number)",
            "--inverter to its address",
            lambda text: found[line_number(text, len(found))],
        )

    def _test(self, host: str, port: int | None) -> Found:
        saved, timeouts = self.saved.inverter, PROBE_TIMEOUTS
        if saved is not None and saved.host == host:
            timeouts = ProbeTimeouts(saved.settle_s, saved.timeout_s)
        with self._no_cycle():
            return asyncio.run(
                find_inverter(host, self._endpoints(host, port), self._say, timeouts)
            )

    def _no_cycle(self) -> AbstractContextManager[None]:
        """Keep the balancer's cycles away: an inverter serves one client at a time."""
        return no_cycle(self._answers.site)

    def _endpoints(self, host: str, port: int | None) -> Mapping[int, Sequence[int]]:
        """Ports and unit ids to try; those saved for this host come first."""
        saved, unit_id = self.saved.inverter, self._answers.unit_id
        endpoints = dict(PORTS) if port is None else {port: PORTS.get(port, DONGLE_UNITS)}
        if saved is not None and saved.host == host and port in (None, saved.port):
            known = endpoints.pop(saved.port, DONGLE_UNITS)
            others = [unit for unit in known if unit != saved.unit_id]
            endpoints = {saved.port: (saved.unit_id, *others), **endpoints}
        return endpoints if unit_id is None else dict.fromkeys(endpoints, (unit_id,))

    def _untested(self, host: str, error: InverterNotFound) -> InverterAddress | None:
        """The address of an inverter that may be asleep, if the user wants to save it."""
        if not isinstance(error, NotFound) or error.port is None:
            return None
        prompt = "It may be asleep. Save this address without testing it"
        if not self._prompts.confirm(prompt, self._answers.asleep):
            return None
        unit_id = self._endpoints(host, error.port)[error.port][0]
        return InverterAddress(host=host, port=error.port, unit_id=unit_id)

    def _call_easee(
        self, account: Account, call: Callable[[EaseeClient], Awaitable[_Result]]
    ) -> _Result:
        """Call the cloud with a new client; waits if the cloud asks for a short pause."""

        async def attempt() -> _Result:
            easee = EaseeClient(account, self._folder)
            try:
                return await call(easee)
            finally:
                await easee.close()

        try:
            return asyncio.run(attempt())
        except RateLimited as error:
            wait_s = (error.until - datetime.now(UTC)).total_seconds()
            if wait_s > _LONGEST_WAIT_S:
                raise
            self._console.print(Text(f"{error} Waiting {wait_s:.0f} s ..."))
            time.sleep(max(0.0, wait_s) + 1)
            return asyncio.run(attempt())

    def _print_numbered(self, lines: Sequence[object]) -> None:
        for number, line in enumerate(lines, 1):
            self._console.print(Text(f"{number}. {line}"))

    def _say(self, line: str) -> None:
        self._console.print(Text(line, "dim"))


def block_with(kind: type[_AnyBlock], saved: _AnyBlock | None, **changes: Any) -> _AnyBlock:
    """The saved block with these changes. Raises ConfigurationError for wrong values."""
    fields = {name: getattr(saved, name) for name in kind.model_fields} if saved else {}
    try:
        return kind(**(fields | changes))
    except ValidationError as error:
        raise ConfigurationError(problems(error)) from None


def _policy(saved: ChargingPolicy | None, text: str) -> ChargingPolicy:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is not a number of amperes, for example 25.")
    try:
        return block_with(ChargingPolicy, saved, main_fuse_a=int(text))
    except ConfigurationError as error:
        raise ValueError(str(error)) from None
