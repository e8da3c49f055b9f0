"""What operating systems do each in their own way: cores, memory, locks on files, links to folders, whether a process
lives, and which one has a port."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_ARENA_MAX = -8
"""``M_ARENA_MAX`` of glibc's ``malloc.h``."""
_LOCKED_BYTE = 1 << 62
"""Far behind every file's end: what is locked nobody else may read on Windows."""
_LISTENS = "0A"
"""The state of a socket in Linux' tables."""


def cores() -> int:
    """How many cores this process may use: those that the system lets it run on, and no more than the time that its
    container is given amounts to."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # Windows, macOS
        count = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(count, int(quota) // int(period)))
    except (OSError, ValueError):  # no control group, or "max"
        return count


def share_memory() -> None:
    """Have what one thread frees be there for all others: one heap instead of one for each thread (glibc's arenas), and
    Arrow's memory from the same. To be called before there are threads, and before Arrow is imported; what the
    variables ``MALLOC_ARENA_MAX`` and ``ARROW_DEFAULT_MEMORY_POOL`` say stays.

    Batches are read in one thread, shaped in a second and written in a third: a heap each held a fifth more.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if not sys.platform.startswith("linux") or "MALLOC_ARENA_MAX" in os.environ:
        return
    import ctypes

    with suppress(AttributeError):  # musl has no arenas
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


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


def port_holder(port: int) -> str:
    """Which process listens on a port of this machine, and in which folder it works: ``process 7 (penstock), in /srv``.
    Empty where the system does not say, as of other users' processes, and anywhere but on Linux."""
    sockets = set(_listening_sockets(port))
    for process in Path("/proc").glob("[0-9]*") if sockets else ():
        try:
            if any(str(file.readlink()) in sockets for file in (process / "fd").iterdir()):
                name = (process / "comm").read_text(encoding="utf-8").strip()
                return f"process {process.name} ({name}), in {(process / 'cwd').readlink()}"
        except OSError:  # another user's, or it has ended
            continue
    return ""


def _listening_sockets(port: int) -> Iterator[str]:
    """The sockets that listen on a port, as the files of a process name them."""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                yield f"socket:[{fields[9]}]"
