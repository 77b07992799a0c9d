"""The questions of `easee-balancer setup`, each device tried as soon as it is known."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from prefect.blocks.core import Block
from pydantic import SecretStr, ValidationError
from rich.console import Console
from rich.text import Text

from easee_load_balancer.commands.output import tell_error
from easee_load_balancer.commands.prompts import Questions
from easee_load_balancer.devices.easee.client import EaseeClient
from easee_load_balancer.devices.easee.discovery import FoundCharger, find_chargers
from easee_load_balancer.devices.easee.models import Account
from easee_load_balancer.devices.easee.observations import Controls
from easee_load_balancer.devices.huawei.client import InverterAddress
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
from easee_load_balancer.errors import (
    ChargerUnknown,
    ConfigurationError,
    InverterNotFound,
    RateLimited,
)
from easee_load_balancer.measurements import ChargerState
from easee_load_balancer.orchestration.blocks import (
    ChargingPolicy,
    EaseeCharger,
    EaseeCredentials,
    HuaweiInverter,
    Site,
    load_if_saved,
)
from easee_load_balancer.system.locks import no_cycle
from easee_load_balancer.system.settings import Settings

SEARCH = "search"
_LONGEST_WAIT_S = 130.0

_AnyBlock = TypeVar("_AnyBlock", bound=Block)
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Answers:
    """What flags and environment have answered already; None = to be asked."""

    user_name: str | None = None
    password: str | None = field(default=None, repr=False)
    api: str | None = None
    charger: str | None = None
    inverter: str | None = None
    unit_id: int | None = None
    asleep: bool = False
    fuse: str | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """The blocks of an earlier setup."""

    credentials: EaseeCredentials | None
    charger: EaseeCharger | None
    inverter: HuaweiInverter | None
    policy: ChargingPolicy | None

    @classmethod
    async def load(cls, name: str) -> Saved:
        """Load those that there are. Raises ConfigurationError for one with wrong values."""
        return cls(
            await load_if_saved(EaseeCredentials, name),
            await load_if_saved(EaseeCharger, name),
            await load_if_saved(HuaweiInverter, name),
            await load_if_saved(ChargingPolicy, name),
        )


class Interview:
    """The questions, one after the other."""

    def __init__(self, answers: Answers, console: Console, saved: Saved) -> None:
        self.saved = saved
        self._answers = answers
        self._console = console
        self._questions = Questions(console)
        self._folder = Settings().folder

    def log_in(self) -> EaseeCredentials:
        """User name and password; they are tried by the next step."""
        answers, saved = self._answers, self.saved.credentials
        user_name = self._questions.ask(
            "Easee user name (phone number with +47... or e-mail)",
            "--user-name",
            _not_empty,
            given=answers.user_name,
            saved=saved.user_name if saved else None,
        )
        same = saved is not None and saved.user_name == user_name
        password = self._questions.secret(
            "Easee password",
            "the environment variable EASEE_PASSWORD",
            answers.password,
            saved.password.get_secret_value() if saved and same else None,
        )
        changes: dict[str, Any] = {"user_name": user_name, "password": SecretStr(password)}
        if answers.api is not None:
            changes["base_url"] = answers.api
        return block_with(EaseeCredentials, saved, **changes)

    def choose_charger(self, account: Account) -> FoundCharger:
        """The charger: the only one, or which of them. Raises a ChargerError."""
        with self._console.status("Logging in, looking for chargers ..."):
            chargers = self._ask_easee(account, find_chargers)
        if not chargers:
            raise ChargerUnknown("This Easee account has no charger that is on a circuit.")
        for number, one in enumerate(chargers, 1):
            self._console.print(
                Text(f"{number}. {one}" if len(chargers) > 1 else f"Charger: {one}")
            )
        if len(chargers) == 1 and self._answers.charger is None:
            return chargers[0]
        saved = self.saved.charger
        return self._questions.ask(
            "Which charger (number or id)",
            "--charger",
            lambda text: _one_of(chargers, text),
            given=self._answers.charger,
            saved=saved.charger_id if saved else None,
        )

    def find_inverter(self) -> tuple[HuaweiInverter, Identity | None]:
        """Where the inverter listens, and who it is; None where it sleeps."""
        answers, saved = self._answers, self.saved.inverter
        while True:
            place = self._questions.ask(
                f"Inverter's address ('{SEARCH}' looks for it in the local network)",
                "--inverter or --search",
                _place,
                given=answers.inverter,
                saved=_place_of(saved) if saved else None,
                proposed=SEARCH,
            )
            try:
                with no_cycle(self._folder, Site.DEFAULT):
                    found = self._search() if place == (SEARCH, None) else [self._try(*place)]
            except InverterNotFound as error:
                tell_error(self._console, error)
                address = self._keep_untested(place[0], error)
                if address is not None:
                    return block_with(HuaweiInverter, saved, **_where(address)), None
                if answers.inverter is not None or not self._questions.possible:
                    raise ConfigurationError("Nothing was saved.") from None
                continue
            one = self._choose(found)
            self._console.print(Text(f"Inverter at {one.address}: {one.identity}"))
            return block_with(HuaweiInverter, saved, **_where(one.address)), one.identity

    def ask_fuse(self, charger: FoundCharger) -> ChargingPolicy:
        """The main fuse; everything else of the policy stays."""
        saved, rated_a = self.saved.policy, charger.site.rated_current
        return self._questions.ask(
            "Main fuse of the house per phase, in A",
            "--fuse",
            lambda text: _policy(saved, text),
            given=self._answers.fuse,
            saved=str(saved.main_fuse_a) if saved else None,
            proposed=f"{rated_a:.0f}" if rated_a else None,
        )

    def look_at(self, account: Account, charger: FoundCharger) -> tuple[ChargerState, Controls]:
        """The charger's state, and who else decides over it. Raises a ChargerError."""
        return self._ask_easee(account, lambda easee: easee.state_and_controls(charger.address))

    def _search(self) -> list[Found]:
        network = own_network()
        if network is None:
            raise ConfigurationError(
                "This machine has no private address whose network could be searched: give the "
                "inverter's address."
            )
        return asyncio.run(search(network, say=self._say))

    def _choose(self, found: Sequence[Found]) -> Found:
        if len(found) == 1:
            return found[0]
        for number, one in enumerate(found, 1):
            self._console.print(Text(f"{number}. {one.address}: {one.identity}"))
        return self._questions.ask(
            "Which inverter has the grid meter (number)",
            "--inverter with its address",
            lambda text: found[_number(text, len(found))],
        )

    def _try(self, host: str, port: int | None) -> Found:
        saved, timeouts = self.saved.inverter, PROBE_TIMEOUTS
        if saved is not None and saved.host == host:
            timeouts = ProbeTimeouts(saved.settle_time_s, saved.timeout_s)
        return asyncio.run(find_inverter(host, self._endpoints(host, port), self._say, timeouts))

    def _endpoints(self, host: str, port: int | None) -> Mapping[int, Sequence[int]]:
        """Ports and unit ids to try; what was saved for this host comes first."""
        saved, unit_id = self.saved.inverter, self._answers.unit_id
        endpoints = dict(PORTS) if port is None else {port: PORTS.get(port, DONGLE_UNITS)}
        if saved is not None and saved.host == host and port in (None, saved.port):
            known = endpoints.pop(saved.port, DONGLE_UNITS)
            others = [unit for unit in known if unit != saved.unit_id]
            endpoints = {saved.port: (saved.unit_id, *others), **endpoints}
        return endpoints if unit_id is None else dict.fromkeys(endpoints, (unit_id,))

    def _keep_untested(self, host: str, error: InverterNotFound) -> InverterAddress | None:
        """The address of one that may be asleep, if that is what the person wants."""
        if not isinstance(error, NotFound) or error.port is None:
            return None
        question = "It may be asleep. Save this address untested and go on"
        if not self._questions.confirm(question, self._answers.asleep):
            return None
        unit_id = self._endpoints(host, error.port)[error.port][0]
        return InverterAddress(host=host, port=error.port, unit_id=unit_id)

    def _ask_easee(
        self, account: Account, question: Callable[[EaseeClient], Awaitable[_Result]]
    ) -> _Result:
        """One visit to the cloud; a short pause that it asks for is kept."""

        async def visit() -> _Result:
            easee = EaseeClient(account, self._folder)
            try:
                return await question(easee)
            finally:
                await easee.close()

        try:
            return asyncio.run(visit())
        except RateLimited as error:
            wait_s = (error.until - datetime.now(UTC)).total_seconds()
            if wait_s > _LONGEST_WAIT_S:
                raise
            self._console.print(Text(f"{error} Waiting {wait_s:.0f} s ..."))
            time.sleep(max(0.0, wait_s) + 1)
            return asyncio.run(visit())

    def _say(self, line: str) -> None:
        self._console.print(Text(line, "dim"))


def block_with(kind: type[_AnyBlock], saved: _AnyBlock | None, **changes: Any) -> _AnyBlock:
    """The block with these fields changed, the others as saved. Raises ConfigurationError."""
    fields = {name: getattr(saved, name) for name in kind.model_fields} if saved else {}
    try:
        return kind(**(fields | changes))
    except ValidationError as error:
        raise ConfigurationError(_first_problem(error)) from None


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"


def _policy(saved: ChargingPolicy | None, text: str) -> ChargingPolicy:
    if not text.isdecimal():
        raise ValueError(f"{text!r} is not a number of amperes such as 25.")
    try:
        return block_with(ChargingPolicy, saved, main_fuse_a=int(text))
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("It cannot be empty.")
    return text


def _number(text: str, count: int) -> int:
    """The index of a numbered line."""
    if not (text.isdecimal() and 1 <= int(text) <= count):
        raise ValueError(f"{text!r} is none of 1 to {count}.")
    return int(text) - 1


def _one_of(chargers: Sequence[FoundCharger], text: str) -> FoundCharger:
    for one in chargers:
        if one.id.lower() == text.lower():
            return one
    if text.isdecimal() and 1 <= int(text) <= len(chargers):
        return chargers[int(text) - 1]
    known = ", ".join(one.id for one in chargers)
    raise ValueError(f"{text!r} is not a charger of this account; there are: {known}.")


def _place(text: str) -> tuple[str, int | None]:
    """Host and port of `host` or `host:port`; the port may be left open."""
    host, colon, port = text.partition(":")
    if colon and not (port.isdecimal() and 0 < int(port) < 65_536):
        raise ValueError(f"{port!r} is not a port such as 502.")
    try:
        InverterAddress(host=host)
    except ValidationError:
        raise ValueError(f"{text!r} is not an address such as 192.168.1.40.") from None
    return host, int(port) if colon else None


def _place_of(address: InverterAddress) -> str:
    return address.host if address.port in PORTS else f"{address.host}:{address.port}"


def _where(address: InverterAddress) -> dict[str, Any]:
    return {"host": address.host, "port": address.port, "unit_id": address.unit_id}
