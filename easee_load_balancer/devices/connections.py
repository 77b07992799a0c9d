"""The open connections of this process, shared by everything that runs in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from easee_load_balancer.devices.easee.client import Easee
from easee_load_balancer.devices.easee.models import Account
from easee_load_balancer.devices.huawei.client import Inverter, InverterAddress


class Connections:
    """Connections by address; they stay open as long as somebody holds them."""

    def __init__(self) -> None:
        self._holders = 0
        self._inverters: dict[tuple[str, int], Inverter] = {}
        self._clouds: dict[tuple[str, str], Easee] = {}

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

    async def easee(self, account: Account, folder: Path) -> Easee:
        """The one session of that account; a changed password replaces it."""
        key = (account.base_url, account.user_name)
        known = self._clouds.get(key)
        if known is not None and known.account == account:
            return known
        new = self._clouds[key] = Easee(account, folder)
        if known is not None:
            await known.close()
        return new

    async def _close(self) -> None:
        # Forgotten first: who comes while they are being closed gets new ones.
        inverters, self._inverters = self._inverters, {}
        clouds, self._clouds = self._clouds, {}
        for inverter in inverters.values():
            await inverter.close()
        for cloud in clouds.values():
            await cloud.close()


CONNECTIONS = Connections()
"""This process's own."""
