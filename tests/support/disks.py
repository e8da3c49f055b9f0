"""Small disks that can be filled up, which takes root."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FILLING = "filling"


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """An empty file system of its own at ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, *, but_bytes: int = 0) -> None:
    """Take all the room there is, but for so much."""
    with (folder / FILLING).open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    size = (folder / FILLING).stat().st_size
    with (folder / FILLING).open("r+b") as file:
        file.truncate(max(size - but_bytes, 0))


def make_room(folder: Path) -> None:
    """Give it back."""
    (folder / FILLING).unlink()
