"""The battery's writable registers, as a dongle without a login takes them.

Writes are slow and can be refused; a limit above the battery's maximum always is. 32-bit registers
are written whole, with function 16; the others with function 6.
"""

from __future__ import annotations

import random
import struct
from typing import Literal, cast

from easee_load_balancer.simulation.faults import Faults
from easee_load_balancer.simulation.huawei.encoding import Words
from easee_load_balancer.simulation.huawei.frames import exception
from easee_load_balancer.simulation.plant.battery_controls import BatteryControls, Forced

BatteryRegister = Literal[47075, 47077, 47083, 47100, 47246, 47247, 47249]

_WIDTH: dict[int, int] = {47075: 2, 47077: 2, 47083: 1, 47100: 1, 47246: 1, 47247: 2, 47249: 2}
_DISCHARGE_LIMIT = 47077
_WRITE_SINGLE, _WRITE_MULTIPLE = 6, 16
_ILLEGAL_VALUE, _FAILURE, _NO_PERMISSION = 3, 4, 0x80
_LONGEST_FORCED_MIN = 1440


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
        for register, width in _WIDTH.items() if self._controls is not None else ():
            raw = self._value(register)
            words |= {register + at: raw >> 16 * (width - 1 - at) & 0xFFFF for at in range(width)}
        return words

    def write(self, pdu: bytes) -> bytes | None:
        """Carry out a write and answer it; None = no answer."""
        function, fault = pdu[0], self._faults.battery_writes
        register, value = _decoded(pdu)
        if self._controls is None or register not in _WIDTH:
            return exception(function, _NO_PERMISSION)
        if value is None or not self._accepts(register, value):
            return exception(function, _ILLEGAL_VALUE)
        lifting = register == _DISCHARGE_LIMIT and value > 0
        if fault == "refused" or (fault == "refused_lifting" and lifting):
            return exception(function, _FAILURE)
        if fault != "ignored":
            self._set(register, value)
            self.done.append((register, value))
        return None if fault == "unanswered" else pdu[:5]

    def _accepts(self, register: int, value: int) -> bool:
        controls = self._battery
        if register in (47075, 47077, 47247, 47249):
            return value <= controls.max_power_w
        highest = {47083: _LONGEST_FORCED_MIN, 47100: 2, 47246: 1}
        return value <= highest[register]

    def _value(self, register: int) -> int:
        controls = self._battery
        return round(
            {
                47075: controls.charge_limit_w,
                47077: controls.discharge_limit_w,
                47083: controls.forced_min,
                47100: controls.forced,
                47246: 0 if controls.ends_by_time else 1,
                47247: controls.forced_charge_w,
                47249: controls.forced_discharge_w,
            }[register]
        )

    def _set(self, register: int, value: int) -> None:
        controls = self._battery
        if register == 47075:
            controls.charge_limit_w = value
        elif register == 47077:
            controls.discharge_limit_w = value
        elif register == 47083:
            controls.forced_min = value
        elif register == 47100:
            controls.force(cast(Forced, value))
        elif register == 47246:
            controls.ends_by_time = value == 0
        elif register == 47247:
            controls.forced_charge_w = value
        else:
            controls.forced_discharge_w = value

    @property
    def _battery(self) -> BatteryControls:
        assert self._controls is not None
        return self._controls


def _decoded(pdu: bytes) -> tuple[int, int | None]:
    """Register and value of a write; None for one that does not fit the register."""
    register = int.from_bytes(pdu[1:3], "big")
    width = _WIDTH.get(register)
    if pdu[0] == _WRITE_SINGLE:
        return register, int.from_bytes(pdu[3:5], "big") if width == 1 and len(pdu) == 5 else None
    whole = width == 2 and len(pdu) == 10 and struct.unpack(">HB", pdu[3:6]) == (2, 4)
    return register, int.from_bytes(pdu[6:10], "big") if whole else None
