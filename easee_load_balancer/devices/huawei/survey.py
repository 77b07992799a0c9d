"""What stands at an address: every device behind it, and how to read them as one plant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from easee_load_balancer.devices.huawei.address import InverterAddress
from easee_load_balancer.devices.huawei.client import Inverter
from easee_load_balancer.devices.huawei.dongle import DONGLE_TOTALS, DONGLE_UNIT, decode_totals
from easee_load_balancer.devices.huawei.emma import EMMA_MODEL
from easee_load_balancer.devices.huawei.registers import (
    MODEL_WORDS,
    NAMEPLATE,
    SUN2000_METER,
    Block,
    decode_meter,
    text,
)
from easee_load_balancer.devices.huawei.smartlogger import LOGGER_METER_PARTS, LOGGER_SERIAL
from easee_load_balancer.devices.sanitize import plain
from easee_load_balancer.errors import InverterError, InverterUnsupported

DeviceKind = Literal["inverter", "emma", "smartlogger", "other"]

_EMMA_NAMES = ("SmartHEMS", "EMMA")
_GATEWAY_UNIT = 0
_MOST_UNITS = 16
"""The highest unit id that is probed where there is no device list."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Device:
    """A device behind the address."""

    unit_id: int
    kind: DeviceKind
    model: str
    serial_number: str = ""

    def __str__(self) -> str:
        serial = f", serial number {self.serial_number}" if self.serial_number else ""
        return f"{self.model}{serial}, unit {self.unit_id}"


async def device_at(inverter: Inverter, unit_id: int) -> Device:
    """What answers at a unit id, in one attempt.

    Raises InverterUnsupported for a device without a name, else as `Inverter.read` does.
    """
    (names,) = await inverter.read_blocks(NAMEPLATE, unit_id=unit_id)
    if names is None:
        (serial,) = await inverter.read_blocks(LOGGER_SERIAL, unit_id=unit_id)
        if serial is None:
            raise InverterUnsupported(
                f"The device at {inverter.address.at_unit(unit_id)} has no name. Is it a SUN2000?"
            )
        return Device(unit_id, "smartlogger", "SmartLogger", text(serial))
    model, serial_number = text(names[:MODEL_WORDS]), text(names[MODEL_WORDS:])
    if not model:
        raise InverterUnsupported(
            f"The device at {inverter.address.at_unit(unit_id)} has no model name."
        )
    if not model.startswith(_EMMA_NAMES):
        return Device(unit_id, "inverter", model, serial_number)
    (words,) = await inverter.read_blocks(EMMA_MODEL, unit_id=unit_id)
    return Device(unit_id, "emma", (text(words) if words else "") or "EMMA", serial_number)


async def survey(inverter: Inverter, say: Say) -> tuple[InverterAddress, tuple[Device, ...]]:
    """The address that reads the whole plant, and every device found.

    Raises as `device_at` does for the address's own unit.
    """
    first = await device_at(inverter, inverter.address.unit_id)
    has_meter = first.kind == "inverter" and await _has_meter(inverter, first.unit_id)
    if first.kind == "inverter" and not has_meter and first.unit_id != _GATEWAY_UNIT:
        gateway = await _answering(inverter, _GATEWAY_UNIT)
        if gateway is not None and gateway.kind != "inverter":
            first = gateway
    listed = await _listed(inverter, first.unit_id)
    devices = [first] + [one for one in listed or () if one.unit_id != first.unit_id]
    if listed is None:
        devices += await _probed(inverter, first, say)
    return await _plant(inverter, first, devices), tuple(devices)


async def _plant(inverter: Inverter, first: Device, devices: Sequence[Device]) -> InverterAddress:
    """The address with the plant's kind and unit ids."""
    inverters = [one.unit_id for one in devices if one.kind == "inverter"]
    changes: dict[str, Any] = {"unit_id": first.unit_id}
    gateway = next((one for one in devices if one.kind in ("emma", "smartlogger")), None)
    if gateway is not None:
        changes = {"plant": gateway.kind, "unit_id": gateway.unit_id}
    if gateway is not None and gateway.kind == "smartlogger":
        others = [one.unit_id for one in devices if one.kind == "other"]
        meter_unit = await _logger_meter(inverter, others)
        changes |= {"other_units": tuple(inverters), "meter_unit": meter_unit}
    elif gateway is None and len(inverters) > 1:
        master = await _with_meter(inverter, inverters)
        changes = {
            "plant": "cascade",
            "unit_id": master,
            "other_units": tuple(unit for unit in inverters if unit != master),
            "dongle_totals": await _has_totals(inverter),
        }
    return inverter.address.model_copy(update=changes)


async def _listed(inverter: Inverter, unit_id: int) -> list[Device] | None:
    """The device list; None where there is none."""
    try:
        entries = await inverter.device_list(unit_id)
    except InverterError:
        return None
    return [device for entry in entries if (device := parse_entry(entry)) is not None] or None


def parse_entry(entry: bytes) -> Device | None:
    """One entry of the list, such as `1=model;4=serial;5=unit id`; None without a unit id."""
    parts = (part.partition("=") for part in entry.decode("ascii", "replace").split(";"))
    fields = {key.strip(): plain(value.strip()) for key, _, value in parts}
    unit_id, model = fields.get("5", ""), fields.get("1", "")
    if not unit_id.isdecimal() or int(unit_id) > 247:
        return None
    kind: DeviceKind = "other"
    if model.startswith("SUN"):
        kind = "inverter"
    elif model.startswith(_EMMA_NAMES):
        kind = "emma"
    elif model.startswith("SmartLogger"):
        kind = "smartlogger"
    return Device(int(unit_id), kind, model or "unnamed device", fields.get("4", ""))


async def _probed(inverter: Inverter, first: Device, say: Say) -> list[Device]:
    """Other devices that answer at the usual unit ids.

    Behind a dongle, inverters are numbered one after another; at an inverter's own access point
    and behind an EMMA there is nothing that has to be found.
    """
    if first.kind == "emma" or (first.kind == "inverter" and first.unit_id == _GATEWAY_UNIT):
        return []
    found: list[Device] = []
    serials = {first.serial_number}
    for unit_id in range(first.unit_id + 1, _MOST_UNITS + 1):
        say(f"Asking {inverter.address.at_unit(unit_id)} ...")
        device = await _answering(inverter, unit_id)
        # some dongles answer for their inverter at any unit id
        known = device is None or device.serial_number in serials
        if known and first.kind == "inverter":
            break
        if device is not None and not known:
            found.append(device)
            serials.add(device.serial_number)
    return found


async def _answering(inverter: Inverter, unit_id: int) -> Device | None:
    try:
        return await device_at(inverter, unit_id)
    except InverterUnsupported:
        words = await _read(inverter, LOGGER_METER_PARTS[0], unit_id)
        return None if words is None else Device(unit_id, "other", "grid meter")
    except InverterError:
        return None


async def _with_meter(inverter: Inverter, units: Sequence[int]) -> int:
    """The inverter with the grid meter; the first one where none has."""
    for unit_id in units:
        if await _has_meter(inverter, unit_id):
            return unit_id
    return units[0]


async def _has_meter(inverter: Inverter, unit_id: int) -> bool:
    words = await _read(inverter, SUN2000_METER.block, unit_id)
    return words is not None and decode_meter(words).online


async def _has_totals(inverter: Inverter) -> bool:
    words = await _read(inverter, DONGLE_TOTALS, DONGLE_UNIT)
    return words is not None and decode_totals(words).inverter_ac_w is not None


async def _logger_meter(inverter: Inverter, units: Iterable[int]) -> int:
    """The unit id of the meter behind a SmartLogger; the usual one where none answers."""
    usual = inverter.address.meter_unit
    for unit_id in (*units, usual):
        if await _read(inverter, LOGGER_METER_PARTS[0], unit_id) is not None:
            return unit_id
    return usual


async def _read(inverter: Inverter, block: Block, unit_id: int) -> Sequence[int] | None:
    try:
        (words,) = await inverter.read_blocks(block, unit_id=unit_id)
    except InverterError:
        return None
    return words
