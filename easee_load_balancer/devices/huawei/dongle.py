"""The dongle's own registers at unit 100: the sums of all inverters behind it.

Not every firmware has them.
"""

from __future__ import annotations

from collections.abc import Sequence

from easee_load_balancer.devices.huawei.registers import I32, U32, Block, PowerValues, Register

DONGLE_UNIT = 100

DONGLE_TOTALS = Block(37498, 20)
_DC_POWER = Register(37498, U32, 1, "W", "DC input of all inverters")
_AC_POWER = Register(37516, I32, 1, "W", "AC power of all inverters")


def decode_totals(words: Sequence[int]) -> PowerValues:
    """The words of DONGLE_TOTALS."""
    read = DONGLE_TOTALS.decode
    return PowerValues(pv_w=read(words, _DC_POWER), inverter_ac_w=read(words, _AC_POWER))
