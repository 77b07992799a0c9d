"""Keeps a SUN2000's battery from discharging, and lets it discharge again.

Two ways (see `BatteryHold`): a forced discharge of 0 W, which ends by itself, and a discharge limit
of 0 W, which lasts. The previous limit is stored before it is changed, and any process that finds
it there restores it. Every write is read back; nothing is repeated without a pause.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from datetime import datetime, timedelta

from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.devices.huawei.hold_record import HoldRecord, HoldStore
from easee_load_balancer.devices.huawei.registers import (
    BATTERY_MAX_DISCHARGE,
    DISCHARGE_LIMIT,
    FORCED,
    FORCED_COMMAND,
    FORCED_DISCHARGE_POWER,
    FORCED_ENDS_BY,
    FORCED_MINUTES,
    NAMEPLATE,
    Block,
    Register,
)
from easee_load_balancer.errors import (
    HoldFailed,
    HoldImpossible,
    InverterUnreachable,
    WriteRefused,
)
from easee_load_balancer.measurements import BatteryHold

COMMAND_LASTS = timedelta(minutes=2)
"""A forced command ends by itself after this long."""
RENEW_AFTER = timedelta(seconds=50)
VERIFY_AFTER = timedelta(minutes=5)
"""A limit that is set is looked at again after this long."""
MOST_WRITES_AN_HOUR = 12
"""Of lasting settings; renewing a forced command changes none."""
_KEPT_FOR_LIFTING = 2
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=15)
_BUDGET_S, _LONGEST_S = 9.0, 14.5
"""After the first no second write is begun; after the second the one under way is given up."""
_STOP, _CHARGE, _DISCHARGE = 0, 1, 2
_BY_TIME = 0


class _OutOfTimeError(Exception):
    """The next cycle goes on from here."""


class BatteryControl:
    """What one process knows of the battery it holds; safe for concurrent callers."""

    def __init__(self, inverter: Inverter, store: HoldStore) -> None:
        self.inverter = inverter
        self._store = store
        self._record: HoldRecord | None = None
        self._lock = asyncio.Lock()
        self._is_sun2000 = False
        self._commanded_at: datetime | None = None
        self._verified_at: datetime | None = None
        """When the limit was last seen at 0 W."""
        self._refusals = 0
        self._refused: BatteryHold | None = None
        self._refused_at: datetime | None = None
        self._refusal, self._pause = "", timedelta()
        self._deadline_s, self._has_written = math.inf, False

    async def is_limited(self) -> bool:
        """Whether a limit of ours is to be lifted some time. Raises HoldFailed."""
        return (await self._load()).restore_w is not None

    async def is_due(self, wanted: BatteryHold, now: datetime) -> bool:
        """Whether anything has to be asked or written now.

        Raises HoldFailed during the pause after a refusal, and where the record cannot be read.
        """
        commanded_at, limited = self._commanded_at, await self.is_limited()
        if wanted is BatteryHold.FREE:
            due = limited or commanded_at is not None
        elif wanted is BatteryHold.COMMAND:
            due = limited or not _is_within(RENEW_AFTER, commanded_at, now)
        else:
            seen = _is_within(VERIFY_AFTER, self._verified_at, now)
            due = commanded_at is not None or not seen
        if due and wanted is self._refused and _is_within(self._pause, self._refused_at, now):
            again = (self._refused_at or now) + self._pause
            raise HoldFailed(f"{self._refusal} Next attempt {again:%H:%M} UTC.")
        return due

    async def apply(self, wanted: BatteryHold, now: datetime) -> None:
        """Bring the battery to what is wanted; what takes too long goes on in the next cycle.

        Raises HoldFailed, after which there is a pause, else as `Inverter.write` does.
        """
        async with self._lock:
            if not await self.is_due(wanted, now):
                return
            self._has_written = False
            self._deadline_s = asyncio.get_running_loop().time() + _BUDGET_S
            try:
                async with asyncio.timeout(_LONGEST_S):
                    await self._bring_to(wanted, now)
            except _OutOfTimeError:
                return
            except TimeoutError:
                raise InverterUnreachable(
                    f"The inverter at {self.inverter.address} took more than {_LONGEST_S:.0f} s to "
                    "set its battery. The next cycle goes on."
                ) from None
            except (WriteRefused, HoldFailed, HoldImpossible) as error:
                state = "still held" if wanted is BatteryHold.FREE else "not held"
                raise self._refuse(wanted, f"The battery is {state}. {error}", now) from error
            self._refusals, self._refused = 0, None

    async def release(self, now: datetime) -> None:
        """Restore the discharge limit, if ours is set; a forced command ends by itself.

        Raises as `apply` does.
        """
        if await self.is_limited():
            await self.apply(BatteryHold.FREE, now)

    async def check_possible(self) -> None:
        """Read whether this plant has what a hold needs; nothing is written.

        Raises HoldImpossible, else as `Inverter.read_blocks` does.
        """
        await self._check_model()
        for register in (DISCHARGE_LIMIT, FORCED_COMMAND, FORCED_MINUTES):
            await self._read(register)
        await self._read_all(FORCED, FORCED_ENDS_BY, FORCED_DISCHARGE_POWER)

    async def _check_model(self) -> None:
        if self._is_sun2000:
            return
        if self.inverter.address.plant != "single":
            raise HoldImpossible(
                "Holding the battery is not possible here: it is known to work only at a plant "
                "with one inverter, not with several or behind an EMMA or a SmartLogger."
            )
        [names] = await self.inverter.read_blocks(NAMEPLATE)
        model = b"".join(word.to_bytes(2, "big") for word in (names or ())[:4])
        if not model.startswith(b"SUN2000"):
            raise HoldImpossible(
                f"Holding the battery is not possible here: {self.inverter.address} is no SUN2000."
            )
        self._is_sun2000 = True

    async def _bring_to(self, wanted: BatteryHold, now: datetime) -> None:
        if wanted is not BatteryHold.FREE:
            await self._check_model()
        if wanted is not BatteryHold.LIMIT and await self.is_limited():
            await self._lift(now)
        if wanted is not BatteryHold.COMMAND and self._commanded_at is not None:
            await self._stop_command(now)
        if wanted is BatteryHold.COMMAND:
            await self._command(now)
        elif wanted is BatteryHold.LIMIT:
            await self._limit(now)

    async def _command(self, now: datetime) -> None:
        """Begin or renew the forced discharge of 0 W, unless another program commands."""
        begins = self._commanded_at is None
        self._commanded_at = None
        present = await self._read(FORCED_COMMAND)
        power_w, ends_by = await self._read_all(FORCED, FORCED_DISCHARGE_POWER, FORCED_ENDS_BY)
        if present == _CHARGE or (present == _DISCHARGE and power_w):
            raise HoldFailed("Another program charges or discharges it on command.")
        if begins:
            minutes = await self._read(FORCED_MINUTES)
            await self._set(FORCED_DISCHARGE_POWER, power_w, 0, now)
            await self._set(FORCED_ENDS_BY, ends_by, _BY_TIME, now)
            await self._set(FORCED_MINUTES, minutes, COMMAND_LASTS // timedelta(minutes=1), now)
        await self._write(FORCED_COMMAND, _DISCHARGE)
        self._commanded_at = now

    async def _set(self, register: Register, shown: int, value: int, now: datetime) -> None:
        if shown != value:
            await self._spend(now)
            await self._write(register, value)

    async def _stop_command(self, now: datetime) -> None:
        if _is_within(COMMAND_LASTS, self._commanded_at, now):
            with suppress(WriteRefused):  # then it ends by itself
                await self._write(FORCED_COMMAND, _STOP)
        self._commanded_at = None

    async def _limit(self, now: datetime) -> None:
        """Set the discharge limit to 0 W; where it is 0 already, it is another's."""
        limit_w = await self._read(DISCHARGE_LIMIT)
        if limit_w:
            await self._spend(now, restore_w=limit_w)
            await self._write(DISCHARGE_LIMIT, 0)
        self._verified_at = now

    async def _lift(self, now: datetime) -> None:
        """Restore the limit; one that is not ours any more is left as it is."""
        restore_w = (await self._load()).restore_w
        self._verified_at = None
        if restore_w is not None and await self._read(DISCHARGE_LIMIT) == 0:
            with suppress(HoldImpossible):
                restore_w = min(restore_w, await self._read(BATTERY_MAX_DISCHARGE))
            await self._spend(now, lifting=True)
            await self._write(DISCHARGE_LIMIT, restore_w)
        await self._keep((await self._load()).model_copy(update={"restore_w": None}))

    async def _spend(
        self, now: datetime, restore_w: int | None = None, *, lifting: bool = False
    ) -> None:
        """Note one write of a lasting setting, with what it has to be restored to.

        Raises HoldFailed when too much was written in the last hour, or where it cannot be stored.
        """
        record = await self._load()
        writes = record.writes(now)
        if len(writes) >= MOST_WRITES_AN_HOUR - (0 if lifting else _KEPT_FOR_LIFTING):
            raise HoldFailed(
                f"The battery's settings were written {len(writes)} times in the last hour."
            )
        update: dict[str, object] = {
            "written_at": (*writes, now),
            "address": self.inverter.address,
        }
        if restore_w is not None:
            update["restore_w"] = restore_w
        record = record.model_copy(update=update)
        if not lifting:
            await self._keep(record)
            return
        self._record = record
        with suppress(HoldFailed):  # a full disk is no reason to leave the battery limited
            await self._keep(record)

    async def _keep(self, record: HoldRecord) -> None:
        await self._store.save(record)
        self._record = record

    async def _load(self) -> HoldRecord:
        if self._record is None:
            self._record = await self._store.load()
        return self._record

    async def _read(self, register: Register) -> int:
        """The register's value. Raises HoldImpossible where the inverter does not know it."""
        [value] = await self._read_all(Block(register.address, register.kind.value[0]), register)
        return value

    async def _read_all(self, block: Block, *registers: Register) -> list[int]:
        """The values of registers of that block. Raises as `_read` does."""
        [words] = await self.inverter.read_blocks(block)
        values = [block.decode(words or (), register) for register in registers]
        for register, value in zip(registers, values, strict=True):
            if value is None:
                raise HoldImpossible(
                    "Holding the battery is not possible here: the inverter does not know "
                    f"register {register.address} ({register.name})."
                )
        return [int(value or 0) for value in values]

    async def _write(self, register: Register, value: int) -> None:
        """Write and read back. Raises WriteRefused or HoldFailed, else as `Inverter.write`."""
        if self._has_written and asyncio.get_running_loop().time() >= self._deadline_s:
            raise _OutOfTimeError
        self._has_written = True
        width = register.kind.value[0]
        words = [value >> 16 * place & 0xFFFF for place in reversed(range(width))]
        await self.inverter.write(register.address, *words)
        shown = await self._read(register)
        if shown != value:
            raise HoldFailed(
                f"The inverter accepted {value} for register {register.address} ({register.name}) "
                f"and still shows {shown}."
            )

    def _refuse(self, wanted: BatteryHold, message: str, now: datetime) -> HoldFailed:
        """Pause before the next attempt at that, longer after each refusal in a row."""
        again = self._refusals if wanted is self._refused else 0
        self._pause = min(FIRST_PAUSE * (1 << min(again, 8)), LONGEST_PAUSE)
        self._refusals, self._refused = again + 1, wanted
        self._refusal, self._refused_at = message, now
        return HoldFailed(message)


def _is_within(span: timedelta, since: datetime | None, now: datetime) -> bool:
    """Whether that was less than `span` ago; a moment in the future was by another clock."""
    return since is not None and timedelta(0) <= now - since < span
