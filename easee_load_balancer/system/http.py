"""Answers over HTTP from outside this house: bounded, raw and unpacked."""

from __future__ import annotations

import ssl
import zlib
from functools import cache

import httpx

LARGEST_ANSWER = 1_000_000
"""In bytes, packed and unpacked."""
_GZIP = zlib.MAX_WBITS | 16


class UnusableAnswer(Exception):
    """The answer is too large, garbled or in an unknown encoding, as its message says."""


async def bounded_content(response: httpx.Response) -> bytes:
    """The body; gzip once at most. Raises UnusableAnswer."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise UnusableAnswer("an answer in an unknown encoding")
    unpack = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
    raw_size, content = 0, bytearray()
    async for chunk in response.aiter_raw():
        raw_size += len(chunk)
        room = LARGEST_ANSWER + 1 - len(content)
        try:
            content += unpack.decompress(chunk, room) if unpack else chunk
        except zlib.error:
            raise UnusableAnswer("a garbled answer") from None
        if max(raw_size, len(content)) > LARGEST_ANSWER:
            raise UnusableAnswer("an answer of more than 1 MB")
    return bytes(content)


@cache
def tls() -> ssl.SSLContext:
    """The trusted certificates, loaded once per process."""
    return httpx.create_ssl_context()
