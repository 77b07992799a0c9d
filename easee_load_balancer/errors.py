"""Everything that can fail, as one small tree; each message says what, where and what to do.

BalancerError
+- ConfigurationError
|  +- MissingBlock
+- InverterError
|  +- InverterUnreachable
|  +- InverterBusy
|  +- InverterUnsupported
|  +- InverterImplausible
|  +- InverterNotFound
+- ChargerError
|  +- ChargerUnreachable
|  +- ChargerUnknown
|  +- BadCredentials
|  +- RateLimited
|  +- Blocked
|  +- InvalidAnswer
+- HistoryError
"""

from __future__ import annotations

from datetime import datetime


class BalancerError(Exception):
    """Root of all errors that this package raises on purpose."""


class ConfigurationError(BalancerError):
    """A block is missing or holds values that cannot work: a person has to change it."""


class MissingBlock(ConfigurationError):
    """A block that is needed has not been created yet."""


class InverterError(BalancerError):
    """The inverter could not be read."""


class InverterUnreachable(InverterError):
    """No connection, no answer in time, or the connection was lost."""


class InverterBusy(InverterError):
    """The inverter answers that it is busy (Modbus exception 6)."""


class InverterUnsupported(InverterError):
    """The device does not know the registers: another model, or another unit id."""


class InverterImplausible(InverterError):
    """The answer cannot be true: wrong length or impossible values."""


class InverterNotFound(InverterError):
    """No SUN2000 answers at an address, or in a network."""


class ChargerError(BalancerError):
    """The Easee cloud or the charger behind it could not be used."""


class ChargerUnreachable(ChargerError):
    """The cloud or the charger does not answer, or answers that it cannot now (5xx)."""


class ChargerUnknown(ChargerError):
    """The account does not know this charger, site or circuit."""


class BadCredentials(ChargerError):
    """User name or password is wrong; not tried again until the block is saved again."""


class _Until(ChargerError):
    """Nothing is sent before `until`."""

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message, until)  # all of it: an exception is copied from its arguments
        self.until = until

    def __str__(self) -> str:
        return str(self.args[0])


class RateLimited(_Until):
    """Asked too often; nothing is sent to this endpoint before `until`."""


class Blocked(_Until):
    """The cloud refuses us; nothing at all is sent before `until`."""


class InvalidAnswer(ChargerError):
    """The cloud answered something that is not what its API promises."""


class HistoryError(BalancerError):
    """The history database could not be read or written."""
