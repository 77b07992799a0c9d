"""Small, full and read-only disks: real file systems, as permissions do not bind root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from easee_load_balancer.system import stand_in


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 32 MB at the folder. Raises PermissionError without root."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        raise PermissionError("only root may mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Fill the folder's disk."""
    with suppress(OSError), (folder / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def set_read_only(folder: Path, read_only: bool) -> None:
    """Remount the folder's disk; nothing on it may be open for writing."""
    option = "ro" if read_only else "rw"
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)


@pytest.fixture
def disk(data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder on a small disk of its own; stand-ins are beside it."""
    monkeypatch.setattr(stand_in, "_MEMORY", tmp_path)
    try:
        with small_disk(data_folder):
            yield data_folder
    except PermissionError as error:
        pytest.skip(str(error))
