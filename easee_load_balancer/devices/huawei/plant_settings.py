"""Settings of the plant that matter to the law: read now and then, not in every cycle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from easee_load_balancer.devices.huawei.registers import I32, U16, Block, Register
from easee_load_balancer.measurements import InverterReading

FIRST_AFTER_S = 60.0
"""The first cycles belong to what they need."""
AGAIN_AFTER_S = 900.0
WITHOUT_ANSWER_S = 6 * 3600.0
"""How long a device that does not answer such a request is not asked again."""

EXPORT_CONTROL = Block(47415, 4)
CONTROL_MODE = Register(47415, U16, 1, "", "export control: 0 none, 5 zero, 6 in W, 7 in %")
LIMIT_W = Register(47416, I32, 1, "W", "export limit")
LIMIT_PCT = Register(47418, U16, 10, "%", "export limit, of the rated power")
_ZERO, _WATTS, _PERCENT = 5, 6, 7

BATTERY_CONTROL = Block(47086, 15)
WORKING_MODE = Register(47086, U16, 1, "", "working mode, 2 = self-consumption")
FORCED = Register(47100, U16, 1, "", "0 no, 1 charge, 2 discharge")
_MODES = {1: "fixed times", 3: "time of use", 4: "all to the grid", 5: "time of use"}
_FORCED = {1: "forced charging", 2: "forced discharging"}

Read = Callable[[Block], Awaitable[Sequence[int] | None]]
"""Reads a block; None where the device does not know it."""


def decode_export_limit(words: Sequence[int], rated_w: float) -> float | None:
    """The words of EXPORT_CONTROL: the limit in W; None where nothing is limited."""
    mode = EXPORT_CONTROL.decode(words, CONTROL_MODE)
    percent = EXPORT_CONTROL.decode(words, LIMIT_PCT)
    if mode == _ZERO:
        return 0.0
    if mode == _WATTS:
        limit_w = EXPORT_CONTROL.decode(words, LIMIT_W)
        return None if limit_w is None else max(0.0, limit_w)
    return rated_w * percent / 100 if mode == _PERCENT and percent is not None else None


def decode_battery_command(words: Sequence[int]) -> str:
    """The words of BATTERY_CONTROL: what the battery follows beside self-consumption, if at all."""
    forced = _FORCED.get(int(BATTERY_CONTROL.decode(words, FORCED) or 0))
    return forced or _MODES.get(int(BATTERY_CONTROL.decode(words, WORKING_MODE) or 0), "")


@dataclass(slots=True)
class PlantSettings:
    """What was read last, and when each block is due again."""

    export_limit_w: float | None = None
    battery_command: str = ""
    _due_s: dict[Block, float] = field(default_factory=dict)

    async def read_if_due(self, reading: InverterReading, read: Read, rated_w: float) -> None:
        """Read at most one block, beside the reading. Raises what `read` does."""
        now_s = asyncio.get_running_loop().time()
        blocks = (EXPORT_CONTROL, BATTERY_CONTROL) if reading.has_battery else (EXPORT_CONTROL,)
        for block in blocks:
            self._due_s.setdefault(block, now_s + FIRST_AFTER_S)
        block = min(blocks, key=lambda one: self._due_s[one])
        if self._due_s[block] > now_s:
            return
        self._due_s[block] = now_s + WITHOUT_ANSWER_S
        words = await read(block)
        if words is None:
            return
        self._due_s[block] = now_s + AGAIN_AFTER_S
        if block is EXPORT_CONTROL:
            self.export_limit_w = decode_export_limit(words, rated_w)
        else:
            self.battery_command = decode_battery_command(words)

    def added_to(self, reading: InverterReading) -> InverterReading:
        """The reading with what is known of the settings."""
        return replace(
            reading, export_limit_w=self.export_limit_w, battery_command=self.battery_command
        )
