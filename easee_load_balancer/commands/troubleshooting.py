"""Why things usually fail, for people who want them to work."""

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
    RateLimited,
)

_ENABLE = (
    "Modbus TCP is not enabled: in the FusionSolar app, logged in to the inverter as installer, "
    "under Settings > Communication configuration, set Modbus TCP to 'Enable (unrestricted)'."
)
_FIRMWARE = (
    "The dongle's firmware is too old for Modbus TCP (the setting is missing then): update it in "
    "the FusionSolar app."
)
_OTHER_CLIENT = (
    "Another program is connected (the inverter serves one at a time): Home Assistant, evcc, a "
    "wallbox, or a balancer on another machine. End it, or put a Modbus proxy in between."
)
_UNIT_ID = "The unit id is another one: mostly 1 on a dongle, 0 on the inverter's access point."
_PORT = "The port is another one: 502 on a dongle, 6607 on the inverter's own access point."
_ADDRESS = (
    "The router has given the inverter another address: look there, and let it keep a fixed one."
)
_ASLEEP = "It is dark: an inverter without battery answers only while the sun shines."

_OF_FINDING: dict[Finding, tuple[str, ...]] = {
    Finding.UNKNOWN_HOST: ("The name is mistyped, or only the router knows it: use the address.",),
    Finding.NO_HOST: (
        _ADDRESS,
        "The inverter or its dongle is off, or in another network (guest Wi-Fi).",
        _ENABLE,
    ),
    Finding.REFUSED: (_ENABLE, _PORT, _FIRMWARE, _ADDRESS),
    Finding.OTHER_SERVICE: (_PORT, _ADDRESS),
    Finding.WEB_SERVER: (
        _PORT,
        "That is the address of another device's web page, such as the router's.",
        _ADDRESS,
    ),
    Finding.SILENT: (_ASLEEP, _OTHER_CLIENT, _UNIT_ID, _ENABLE, _FIRMWARE),
    Finding.BUSY: (_OTHER_CLIENT, "It is starting or being updated: try again in some minutes."),
    Finding.OTHER_DEVICE: (
        "That is the address of another device, such as a meter, a heat pump or a wallbox.",
        _UNIT_ID,
    ),
}

_OF_ERROR: dict[type[BalancerError], tuple[str, ...]] = {
    InverterBusy: _OF_FINDING[Finding.BUSY],
    InverterUnsupported: _OF_FINDING[Finding.OTHER_DEVICE],
    InverterImplausible: (
        *_OF_FINDING[Finding.OTHER_DEVICE],
        "A single wrong answer of an old dongle: the next reading is right.",
    ),
    BadCredentials: (
        "The password is mistyped, or was changed: try it in the Easee app. It is not tried "
        "again, because the cloud blocks who tries too often.",
        "The user name is not the one of the app: a phone number begins with the country code, "
        "such as +47.",
    ),
    RateLimited: ("Other programs ask with the same login too. Wait, and it goes on by itself.",),
    Blocked: (
        "Too many requests or wrong passwords from this internet connection, by this or another "
        "program: end that one and wait.",
    ),
    ChargerUnreachable: (
        "The internet connection is down, or the Easee cloud is: status.easee.com.",
        "A firewall keeps this machine from https://api.easee.com.",
    ),
    ChargerUnknown: (
        "The charger was moved to another site or account: run `easee-balancer setup` again.",
        "The login may only look: the owner has to give it more rights in the Easee app.",
    ),
    InvalidAnswer: ("The Easee cloud has changed: look for a newer version of this program.",),
}

METER_OFFLINE = (
    "The cable between meter and inverter (RS485) is loose, or swapped.",
    "No meter is installed, or it is not set up in the FusionSolar app.",
    "A backup box runs the house off the grid: then there is none to measure.",
)
CHARGER_OFFLINE = (
    "The charger has no power, or has lost its Wi-Fi or mobile network: see the Easee app.",
    "It was just switched on: it takes some minutes.",
)


def usual_causes(error: BalancerError, finding: Finding | None = None) -> tuple[str, ...]:
    """Usual causes of an error, the most usual first; `finding` is what was seen at the address."""
    if finding is not None:
        return _OF_FINDING[finding]
    return next((_OF_ERROR[kind] for kind in type(error).__mro__ if kind in _OF_ERROR), ())
