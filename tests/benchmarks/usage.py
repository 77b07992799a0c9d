"""What processes and databases use."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import psutil
import psycopg


def cpu_s(process: psutil.Process) -> float:
    """CPU time of a process and of its children that have ended, in s."""
    return sum(process.cpu_times()[:4])


def cpu_s_of_all(process: psutil.Process) -> float:
    """CPU time of a process and all of its children, also of those that have ended, in s."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # it is among its parent's children now
            total += cpu_s(one)
    return total


def memory_kb(process: psutil.Process) -> int:
    """Memory of a process, in kB; 0 if it has ended."""
    with suppress(psutil.NoSuchProcess):
        return int(process.memory_info().rss) // 1024
    return 0


def memory_kb_of_all(process: psutil.Process) -> int:
    """Memory of a process and the children it has now, in kB."""
    return sum(map(memory_kb, (process, *process.children(recursive=True))))


def sqlite_bytes(file: Path) -> tuple[int, int]:
    """Bytes of an SQLite file, and those in use in it."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=60)) as connection:
        size, pages, free = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_size", "page_count", "freelist_count")
        )
    return size * pages, size * (pages - free)


def postmaster(url: str) -> psutil.Process:
    """The process that is the parent of all of PostgreSQL's others."""
    with psycopg.connect(url) as connection:
        [pid] = connection.execute("SELECT pg_backend_pid()").fetchone() or [0]
        found = psutil.Process(pid).parent()
    assert found is not None
    return found
