"""Everything that can fail, as one small tree; each message says what failed and what to do."""

from __future__ import annotations

from datetime import datetime

from pydantic import ValidationError

_MOST_PROBLEMS = 3


class BalancerError(Exception):
    """Root of all errors that this package raises on purpose."""


class ConfigurationError(BalancerError):
    """A block or setting is missing or wrong; a person has to correct it."""


class MissingBlock(ConfigurationError):
    """A required block has not been created yet."""


class InverterError(BalancerError):
    """The inverter could not be read, or does not do what it was told."""


class InverterUnreachable(InverterError):
    """No connection, no answer in time, or connection lost."""


class InverterBusy(InverterError):
    """The inverter reports that it is busy (Modbus exception 6)."""


class InverterUnsupported(InverterError):
    """The device does not know the registers: different model or wrong unit id."""


class InverterImplausible(InverterError):
    """The answer has the wrong length or impossible values."""


class WriteRefused(InverterError):
    """The inverter does not take a value that was written; what was before still holds."""


class HoldImpossible(InverterError):
    """On this plant no way is known to keep the battery from discharging."""


class HoldFailed(InverterError):
    """The battery is not held, or still held, against our wish; tried again after a pause."""


class InverterNotFound(InverterError):
    """No Huawei plant answers at the address or in the network."""


class PlanError(BalancerError):
    """No charging plan could be made."""


class ChargerError(BalancerError):
    """The Easee cloud or the charger could not be used."""


class ChargerUnreachable(ChargerError):
    """The cloud or the charger does not answer, or reports an outage (5xx)."""


class ChargerUnknown(ChargerError):
    """The account does not know this charger, site or circuit."""


class BadCredentials(ChargerError):
    """Wrong user name or password; no new attempt until the block is saved again."""


class _Until(ChargerError):
    """Nothing is sent before `until`."""

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message, until)  # both: copies are made from the arguments
        self.until = until

    def __str__(self) -> str:
        return str(self.args[0])


class RateLimited(_Until):
    """Too many requests; nothing is sent to this endpoint before `until`."""


class Blocked(_Until):
    """The cloud blocks us; nothing at all is sent before `until`."""


class NotPermitted(_Until):
    """The login's role does not allow this; other requests work. Tried again after `until`."""


class ChargerDisconnected(ChargerError):
    """The charger has no connection to the cloud, or no car: the command was not carried out."""


class InvalidAnswer(ChargerError):
    """The cloud's answer does not match its API."""


class ServerUnreachable(BalancerError):
    """The Prefect server does not answer."""


class BrokerError(BalancerError):
    """The MQTT broker could not be used."""


class ForecastError(BalancerError):
    """Prices or a forecast could not be fetched; what is known goes on being used."""


class LockLost(BalancerError):
    """It cannot be proved that no other worker commands the charger: nothing is sent."""


class HistoryError(BalancerError):
    """The history database could not be read or written."""


def problems(error: ValidationError) -> str:
    """Which fields are wrong and why, without the values, which may be secret."""
    wrong = error.errors(include_input=False, include_url=False)
    found = []
    for one in wrong[:_MOST_PROBLEMS]:
        message = one["msg"].removeprefix("Value error, ")
        field = ".".join(map(str, one["loc"]))
        found.append(f"{field}: {message}" if field else message)
    more = len(wrong) - len(found)
    return "; ".join(found) + (f"; and {more} more" if more else "")
