"""A process that holds a battery and releases it: to be killed while it does.

Started with the port and the data folder; for each line on stdin (a way to hold) it forks a process
that prints its id and holds, and prints "ended" after it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from easee_load_balancer.devices.huawei.battery_control import BatteryControl
from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.devices.huawei.hold_record import HoldFile, record_path
from easee_load_balancer.measurements import BatteryHold
from tests.support.battery import address_of


async def hold_and_release(port: int, folder: Path, way: BatteryHold) -> None:
    """One hold."""
    control = BatteryControl(Inverter(address_of(port)), HoldFile(record_path(folder, "home")))
    await control.apply(way, datetime.now(UTC))
    await control.apply(BatteryHold.FREE, datetime.now(UTC))


def main() -> None:
    """Fork a process for each line."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    for line in sys.stdin:
        child = os.fork()
        if not child:
            print(os.getpid(), flush=True)  # before its first request
            asyncio.run(hold_and_release(port, folder, BatteryHold(line.strip())))
            os._exit(0)
        os.waitpid(child, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    main()
