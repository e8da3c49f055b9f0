"""Whether processes live, and waiting for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_ntop


def lives(pid: int) -> bool:
    """Whether the process runs; one that ended and that nobody has waited for does not."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        os.kill(pid, 0)
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def wait_until(holds: Callable[[], bool], otherwise: str, *, seconds: float = 15) -> None:
    """Wait for something to be so."""
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, otherwise
        time.sleep(0.05)


def family(pid: int) -> set[int]:
    """A process and all that it started, and these, as far as they run."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    members = {pid}
    while grown := {child for child, parent in parents.items() if parent in members} - members:
        members |= grown
    return members


def listening(pids: Iterable[int]) -> set[str]:
    """The addresses at which processes listen by TCP."""
    sockets = set()
    for pid in pids:
        for opened in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                sockets.add(str(opened.readlink()).removeprefix("socket:"))
    addresses = set()
    for table, kind in (("tcp", AF_INET), ("tcp6", AF_INET6)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"[{fields[9]}]" in sockets:
                words = bytes.fromhex(fields[1].rpartition(":")[0])
                address = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
                addresses.add(inet_ntop(kind, address))
    return addresses
