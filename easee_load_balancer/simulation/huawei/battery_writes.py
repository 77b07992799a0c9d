"""The battery's writable registers, as a dongle without a login takes them.

Writes are slow and can be refused; a limit above the battery's maximum always is. 32-bit registers
are written whole, with function 16; the others with function 6.
"""

from __future__ import annotations

import random
import struct
from typing import cast

from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.huawei.encoding import Words
from easee_load_balancer.simulation.huawei.frames import exception
from easee_load_balancer.simulation.plant.battery_controls import BatteryControls, Forced

_WORDS = {47075: 2, 47077: 2, 47083: 1, 47087: 1, 47100: 1, 47246: 1, 47247: 2, 47249: 2}
_ATTRIBUTES = {
    47075: "charge_limit_w",
    47077: "discharge_limit_w",
    47083: "forced_min",
    47087: "grid_charge_allowed",
    47100: "forced",
    47247: "forced_charge_w",
    47249: "forced_discharge_w",
}
_DISCHARGE_LIMIT, _GRID_CHARGE, _COMMAND, _ENDS_BY = 47077, 47087, 47100, 47246
_HIGHEST = {47083: 1440, 47087: 1, 47100: 2, 47246: 1}
"""Of those that are no power."""
_WRITE_SINGLE = 6
_ILLEGAL_VALUE, _FAILURE, _NO_PERMISSION = 3, 4, 0x80


class BatteryWrites:
    """Reads and writes of one battery's settings; `None` = no battery."""

    def __init__(
        self, controls: BatteryControls | None, faults: Faults, takes_s: tuple[float, float]
    ) -> None:
        self.done: list[tuple[int, int]] = []
        """Register and value of each write that was carried out."""
        self._controls, self._faults, self._takes_s = controls, faults, takes_s
        self._rng = random.Random(1)

    def next_takes_s(self) -> float:
        """How long the next write takes."""
        return self._rng.uniform(*self._takes_s)

    def words(self) -> Words:
        """The settings now."""
        words: Words = {}
        if self._controls is not None:
            for register, count in _WORDS.items():
                raw = _value(self._controls, register)
                words[register + count - 1] = raw & 0xFFFF
                if count == 2:
                    words[register] = raw >> 16
        return words

    def write(self, pdu: bytes) -> bytes | None:
        """Carry out a write and answer it; None = no answer."""
        function, fault, controls = pdu[0], self._faults.battery_writes, self._controls
        register, value = _decoded(pdu)
        if controls is None or register not in _WORDS:
            return exception(function, _NO_PERMISSION)
        if value is None or value > _HIGHEST.get(register, controls.max_power_w):
            return exception(function, _ILLEGAL_VALUE)
        lifting = register == _DISCHARGE_LIMIT and value > 0
        if fault == "refused" or (fault == "refused_lifting" and lifting):
            return exception(function, _FAILURE)
        if fault != "ignored":
            _set(controls, register, value)
            self.done.append((register, value))
        return None if fault == "unanswered" else pdu[:5]


def _value(controls: BatteryControls, register: int) -> int:
    if register == _ENDS_BY:
        return 0 if controls.ends_by_time else 1
    return round(float(getattr(controls, _ATTRIBUTES[register])))


def _set(controls: BatteryControls, register: int, value: int) -> None:
    if register == _COMMAND:
        controls.force(cast(Forced, value))
    elif register == _ENDS_BY:
        controls.ends_by_time = value == 0
    elif register == _GRID_CHARGE:
        controls.grid_charge_allowed = value == 1
    else:
        setattr(controls, _ATTRIBUTES[register], value)


def _decoded(pdu: bytes) -> tuple[int, int | None]:
    """Register and value of a write; None for one that does not fit the register."""
    register = int.from_bytes(pdu[1:3], "big")
    words = _WORDS.get(register)
    if pdu[0] == _WRITE_SINGLE:
        return register, int.from_bytes(pdu[3:5], "big") if words == 1 and len(pdu) == 5 else None
    whole = words == 2 and len(pdu) == 10 and struct.unpack(">HB", pdu[3:6]) == (2, 4)
    return register, int.from_bytes(pdu[6:10], "big") if whole else None
