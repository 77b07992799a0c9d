"""The open connections of this process, shared by everything that runs in it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from easee_load_balancer.devices.easee.client import EaseeClient
from easee_load_balancer.devices.easee.models import Account
from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.battery_control import BatteryControl
from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.devices.huawei.hold_record import HoldFile, HoldRecord, HoldStore
from easee_load_balancer.errors import InverterError

_LOG = logging.getLogger(__name__)
_UNUSED_S = 3600.0
"""A client of the cloud that is not asked for in this time is closed: its login was changed."""


class Connections:
    """Connections by address; they stay open while at least one holder needs them."""

    def __init__(self) -> None:
        self._holders = 0
        self._new_client: type[EaseeClient] = EaseeClient
        self._inverters: dict[tuple[str, int], Inverter] = {}
        self._batteries: dict[HoldStore, BatteryControl] = {}
        self._easee: dict[tuple[str, str], EaseeClient] = {}
        self._asked_s: dict[tuple[str, str], float] = {}
        """When each of those was last asked for."""

    @asynccontextmanager
    async def streaming(self) -> AsyncIterator[None]:
        """Keep connections open, and let the Easee cloud push values to this process."""
        # Only here: what the stream needs takes 6 MB and most of a second to load.
        from easee_load_balancer.devices.easee.stream import StreamingClient

        self._new_client = StreamingClient
        try:
            async with self.held():
                yield
        finally:
            self._new_client = EaseeClient

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Keep connections open; the last holder closes them."""
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                await self._close()

    async def inverter(self, address: InverterAddress) -> Inverter:
        """The one connection to that inverter; a changed address replaces it."""
        key = (address.host, address.port)
        known = self._inverters.get(key)
        if known is not None and known.address == address:
            return known
        new = self._inverters[key] = Inverter(address)
        if known is not None:
            await known.close()
        return new

    async def leave(self, address: InverterAddress) -> None:
        """Disconnect from that inverter once it is not in use; the next use connects again.

        Another worker may hold its battery meanwhile, so what is known of a hold is forgotten.
        """
        known = self._inverters.get((address.host, address.port))
        if known is not None:
            await known.close()
            for store in [at for at, one in self._batteries.items() if one.inverter is known]:
                del self._batteries[store]

    def leave_charger(self, account: Account, charger_id: str) -> None:
        """Leave that charger to another process; the next reading starts afresh."""
        known = self._easee.get((account.base_url, account.user_name))
        if known is not None:
            known.leave(charger_id)

    async def battery(self, address: InverterAddress, store: HoldStore) -> BatteryControl:
        """The one control of the battery at that inverter, with the record of what it changes."""
        inverter = await self.inverter(address)
        known = self._batteries.get(store)
        if known is None or known.inverter is not inverter:
            known = self._batteries[store] = BatteryControl(inverter, store)
        return known

    async def restore_battery(self, record: Path) -> None:
        """Lift the limit that a process left at the battery when it was killed.

        Raises InverterError; the next cycle tries again.
        """
        left = HoldRecord.load(record)
        if left.restore_w is not None and left.address is not None:
            await (await self.battery(left.address, HoldFile(record))).release(datetime.now(UTC))

    async def easee(self, account: Account, folder: Path) -> EaseeClient:
        """The one client of that account; a changed password replaces it."""
        key = (account.base_url, account.user_name)
        now_s = self._asked_s[key] = monotonic()
        await self._close_unused(now_s)
        known = self._easee.get(key)
        if known is not None and known.account.is_same_login(account):
            return known
        new = self._easee[key] = self._new_client(account, folder)
        if known is not None:
            await known.close()
        return new

    async def _close_unused(self, now_s: float) -> None:
        """Close clients of logins that are gone: their streams would be renewed for ever."""
        for key in [key for key, at_s in self._asked_s.items() if now_s - at_s > _UNUSED_S]:
            del self._asked_s[key]
            unused = self._easee.pop(key, None)
            if unused is not None:
                await unused.close()

    async def _close(self) -> None:
        # Cleared first: a new holder that arrives during closing gets new connections.
        inverters, self._inverters = self._inverters, {}
        batteries, self._batteries = self._batteries, {}
        clients, self._easee = self._easee, {}
        for battery in batteries.values():
            try:
                await battery.release(datetime.now(UTC))
            except InverterError as error:  # its record stays: the next start lifts the limit
                _LOG.warning("The battery stays limited for now. %s", error)
        for inverter in inverters.values():
            await inverter.close()
        for client in clients.values():
            await client.close()


CONNECTIONS = Connections()
"""Those of this process."""
