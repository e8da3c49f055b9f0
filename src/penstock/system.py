"""What operating systems do each in their own way: locks on files, links to folders, whether a process lives."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LOCKED_BYTE = 1 << 62
"""Far behind every file's end: what is locked nobody else may read on Windows."""


def lock(file: IO[Any]) -> None:
    """Lock an open file for whoever opened it, until it is closed or the process ends.

    Raises:
        OSError: it is locked.
    """
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    import msvcrt

    position = os.lseek(file.fileno(), 0, os.SEEK_CUR)
    os.lseek(file.fileno(), _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]  # Windows has it
    finally:
        os.lseek(file.fileno(), position, os.SEEK_SET)


def link_folder(link: Path, folder: Path) -> None:
    """Have ``folder`` under another name too, in place of what was there: by a symbolic link, or as a copy where none
    can be made, as on Windows without the right to it."""
    if link.is_symlink():
        if link.readlink() == folder:
            return
        link.unlink()
    elif link.is_dir():
        shutil.rmtree(link)
    try:
        link.symlink_to(folder, target_is_directory=True)
    except (OSError, NotImplementedError):
        shutil.copytree(folder, link, ignore=shutil.ignore_patterns("__pycache__"))


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number."""
    if sys.platform == "win32":  # where os.kill would end it
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)  # to ask about it, no more
        if handle:
            ctypes.windll.kernel32.CloseHandle(handle)
        return bool(handle)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; Windows cannot be asked to, and does it by itself."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
