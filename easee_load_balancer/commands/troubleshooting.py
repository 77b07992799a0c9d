"""Usual causes of failures."""

from __future__ import annotations

from easee_load_balancer.devices.huawei.discovery import Finding
from easee_load_balancer.errors import (
    BadCredentials,
    BalancerError,
    Blocked,
    ChargerUnknown,
    ChargerUnreachable,
    InvalidAnswer,
    InverterBusy,
    InverterImplausible,
    InverterUnsupported,
    NotPermitted,
    RateLimited,
)

_ENABLE = (
    "Modbus TCP is disabled: in the FusionSolar app, logged in to the inverter as installer, "
    "under Settings > Communication configuration, set Modbus TCP to 'Enable (unrestricted)'."
)
_ON_EMMA = (
    "An EMMA answers only with TLS switched off in its Modbus TCP settings, and only if this "
    "machine is on its whitelist."
)
_FIRMWARE = (
    "The dongle's firmware is too old for Modbus TCP (the setting is missing): update it in the "
    "FusionSolar app."
)
_OTHER_CLIENT = (
    "Another program is connected, and the inverter serves one at a time: Home Assistant, evcc, a "
    "wallbox, or a balancer on another machine. Stop it, or use a Modbus proxy for both."
)
_UNIT_ID = "The unit ID is wrong: usually 1 on a dongle, 0 on an access point, EMMA or SmartLogger."
_PORT = "The port is wrong: 502 on a dongle, 6607 on the inverter's own access point."
_ADDRESS = (
    "The router has given the inverter a new address: look it up there, and make it permanent."
)
_ASLEEP = "It is dark: an inverter without a battery answers only in daylight."

_OF_FINDING: dict[Finding, tuple[str, ...]] = {
    Finding.UNKNOWN_HOST: (
        "The name is misspelled, or only the router knows it: use the address.",
    ),
    Finding.NO_HOST: (
        _ADDRESS,
        "The inverter or its dongle is off, or on another network (guest Wi-Fi).",
        _ENABLE,
    ),
    Finding.REFUSED: (_ENABLE, _PORT, _FIRMWARE, _ADDRESS, _ON_EMMA),
    Finding.OTHER_SERVICE: (_PORT, _ADDRESS),
    Finding.WEB_SERVER: (
        _PORT,
        "The address belongs to another device with a web page, such as the router.",
        _ADDRESS,
    ),
    Finding.SILENT: (_ASLEEP, _OTHER_CLIENT, _UNIT_ID, _ENABLE, _FIRMWARE, _ON_EMMA),
    Finding.BUSY: (_OTHER_CLIENT, "It is starting or updating: try again in a few minutes."),
    Finding.OTHER_DEVICE: (
        "The address belongs to another device, such as a meter, a heat pump or a wallbox.",
        _UNIT_ID,
    ),
}

_OF_ERROR: dict[type[BalancerError], tuple[str, ...]] = {
    InverterBusy: _OF_FINDING[Finding.BUSY],
    InverterUnsupported: _OF_FINDING[Finding.OTHER_DEVICE],
    InverterImplausible: (
        *_OF_FINDING[Finding.OTHER_DEVICE],
        "An old dongle sent a single wrong answer: the next reading is correct.",
    ),
    BadCredentials: (
        "The password is misspelled or was changed: try it in the Easee app. It is not retried "
        "here, because the cloud blocks repeated attempts.",
        "The user name differs from the app's: a phone number starts with the country code, for "
        "example +47.",
    ),
    RateLimited: ("Other programs use the same login. Wait; it recovers by itself.",),
    Blocked: (
        "This or another program sent too many requests or wrong passwords from this internet "
        "connection: stop the other one and wait.",
    ),
    NotPermitted: (
        "This login is a guest or user of the site: the owner can make it an administrator in the "
        "Easee app.",
        "The e-mail address of the login was never confirmed: see the account in the Easee app.",
    ),
    ChargerUnreachable: (
        "The internet connection or the Easee cloud is down: see status.easee.com.",
        "A firewall blocks https://api.easee.com.",
    ),
    ChargerUnknown: (
        "The charger was moved to another site or account: run `easee-balancer setup` again.",
    ),
    InvalidAnswer: ("The Easee cloud has changed: check for a newer version of this program.",),
}

METER_OFFLINE = (
    "The RS485 cable between meter and inverter is loose, or its wires are swapped.",
    "No meter is installed, or it is not set up in the FusionSolar app.",
    "A backup box is running the house off the grid.",
)
CHARGER_OFFLINE = (
    "The charger has no power, or has lost its Wi-Fi or mobile network: see the Easee app.",
    "It was just switched on: this takes a few minutes.",
)


def usual_causes(error: Exception, finding: Finding | None = None) -> tuple[str, ...]:
    """Usual causes of an error, most frequent first; `finding` is what is at the address."""
    if finding is not None:
        return _OF_FINDING[finding]
    return next((_OF_ERROR[kind] for kind in type(error).__mro__ if kind in _OF_ERROR), ())
