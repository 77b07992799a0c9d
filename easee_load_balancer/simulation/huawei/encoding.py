"""Values as Modbus registers: pure encoding.

Addresses are as on the wire; values of several words have their high word first. Registers hold
`value * gain`; an unknown value (None) is encoded as the register type's "not available".
"""

from __future__ import annotations

from enum import Enum

Words = dict[int, int]
"""Registers by address."""


class Kind(Enum):
    """Register types: number of words, signed."""

    U16 = (1, False)
    I16 = (1, True)
    U32 = (2, False)
    I32 = (2, True)
    U64 = (4, False)
    I64 = (4, True)

    def words(self, value: float | None, gain: float) -> tuple[int, ...]:
        """The value's registers; values out of range saturate."""
        count, signed = self.value
        bits = 16 * count - signed
        unavailable = (1 << bits) - 1
        if value is None:
            raw = unavailable
        else:
            lowest = 1 - (1 << bits) if signed else 0
            raw = max(lowest, min(round(value * gain), unavailable - 1))
        return tuple((raw >> 16 * place) & 0xFFFF for place in reversed(range(count)))


U16, I16, U32 = Kind.U16, Kind.I16, Kind.U32
I32, U64, I64 = Kind.I32, Kind.U64, Kind.I64


Row = tuple[int, Kind, float, str, str, float | None]
"""Address, type, gain, unit, name and present value of a register."""


def encode(*rows: Row) -> Words:
    """The registers of these rows."""
    words: Words = {}
    for address, kind, gain, _unit, _name, value in rows:
        words.update(enumerate(kind.words(value, gain), start=address))
    return words


def encode_text(*rows: tuple[int, int, str]) -> Words:
    """Registers of rows of address, length in registers and ASCII text, filled up with NUL."""
    words: Words = {}
    for address, length, text in rows:
        raw = text.encode("ascii").ljust(2 * length, b"\0")
        pairs = (int.from_bytes(raw[at : at + 2], "big") for at in range(0, 2 * length, 2))
        words.update(enumerate(pairs, start=address))
    return words
