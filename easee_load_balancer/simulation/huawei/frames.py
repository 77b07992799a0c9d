"""Modbus TCP frames, and the sockets they come by."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass

MAX_PDU_BYTES = 253


class NotModbusError(Exception):
    """The client sent bytes that are not a Modbus TCP frame."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    transaction_id: int
    unit_id: int
    pdu: bytes

    def frame(self, pdu: bytes) -> bytes:
        """The frame that answers this request."""
        return struct.pack(">HHHB", self.transaction_id, 0, len(pdu) + 1, self.unit_id) + pdu


def exception(function: int, code: int) -> bytes:
    """The answer that refuses a request."""
    return bytes((function | 0x80, code))


async def read_request(reader: asyncio.StreamReader) -> Request:
    """The next request. Raises IncompleteReadError at the end, NotModbusError for nonsense."""
    header = await reader.readexactly(7)
    transaction_id, protocol, length, unit_id = struct.unpack(">HHHB", header)
    if protocol != 0 or not 2 <= length <= MAX_PDU_BYTES + 1:
        raise NotModbusError
    return Request(transaction_id, unit_id, await reader.readexactly(length - 1))


def bind(family: int, address: tuple[object, ...]) -> socket.socket:
    """A TCP socket, bound but not listening."""
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a TCP reset."""
    if not writer.is_closing():
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
