"""The open connections of this process, shared by everything that runs in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from easee_load_balancer.devices.easee.client import EaseeClient
from easee_load_balancer.devices.easee.models import Account
from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.client import Inverter


class Connections:
    """Connections by address; they stay open while at least one holder needs them."""

    def __init__(self) -> None:
        self._holders = 0
        self._inverters: dict[tuple[str, int], Inverter] = {}
        self._easee: dict[tuple[str, str], EaseeClient] = {}

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

    async def easee(self, account: Account, folder: Path) -> EaseeClient:
        """The one client of that account; a changed password replaces it."""
        key = (account.base_url, account.user_name)
        known = self._easee.get(key)
        if known is not None and known.account == account:
            return known
        new = self._easee[key] = EaseeClient(account, folder)
        if known is not None:
            await known.close()
        return new

    async def _close(self) -> None:
        # Cleared first: a new holder that arrives during closing gets new connections.
        inverters, self._inverters = self._inverters, {}
        clients, self._easee = self._easee, {}
        for inverter in inverters.values():
            await inverter.close()
        for client in clients.values():
            await client.close()


CONNECTIONS = Connections()
"""Those of this process."""
