"""What private servers share: a folder and ports of their own, and an end when their owner's comes."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from penstock.errors import PenstockError

_DIE_WITH_PARENT = 1
"""``PR_SET_PDEATHSIG`` of prctl(2)."""
_DELETE_WHEN_ORPHANED = """
read -r _
for pid in $(cat "$1/pids" 2>/dev/null); do
  case "$(ps -ww -o args= -p "$pid" 2>/dev/null)" in *"$1"*) kill -"$2" "$pid" ;; esac
done
for _ in $(seq 100); do rm -rf -- "$1" 2>/dev/null; [ -e "$1" ] || exit 0; sleep 0.2; done
"""
"""A shell that waits for the end of its input, which is our end, however we end."""


class MissingServer(PenstockError):
    """The server's binaries are not on this machine; the fix is the command that installs them."""


class PrivateServer(ABC):
    """A server of our own, as a context manager.

    Neither the server nor its folder outlives the process that started it, not even when that gets SIGKILL. On Linux
    the thread that calls :meth:`start` has to live as long as the server is to.
    """

    name: ClassVar[str]
    """What errors call it."""
    start_seconds: ClassVar[float] = 30
    """How long a start may take."""
    interrupt: ClassVar[signal.Signals]
    """The signal that shuts it down in order."""
    quit: ClassVar[signal.Signals]
    """The signal that ends it at once, with all it started."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"penstock-{self.name.lower()}-"))
        self.folder.chmod(0o755)
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        """Free when it is first started, and kept."""
        self._sweeper = subprocess.Popen(
            ["sh", "-c", _DELETE_WHEN_ORPHANED, "sweeper", self.folder, self.quit.name.removeprefix("SIG")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def start(self) -> Self:
        """Start and wait until it answers.

        Raises:
            PenstockError: with the end of the server's log; nothing is left of it.
        """
        self.port = self.port or free_port()
        try:
            self.process = self._launch()
            give_up = time.monotonic() + self.start_seconds
            while not self._answers():
                if self.process.poll() is not None or time.monotonic() > give_up:
                    raise PenstockError(f"the private {self.name} did not start", where=self._log()[-2000:])
                time.sleep(0.02)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop at once, and delete everything."""
        self._signal(self.quit)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._sweeper.communicate()

    def restart(self) -> Self:
        """Shut down in order, cutting connections, and start again on the same port."""
        self._signal(self.interrupt)
        return self.start()

    def kill(self) -> None:
        """Pull the plug: SIGKILL to the server and all it started. :meth:`start` recovers."""
        children = self._children()
        self._signal(signal.SIGKILL)
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        give_up = time.monotonic() + self.start_seconds
        while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < give_up:
            time.sleep(0.01)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @abstractmethod
    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the process, and do not wait for it."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether a client is served."""

    def _log(self) -> str:
        """What the server has said."""
        return (self.folder / "log").read_text(errors="replace")

    def _spawn(
        self,
        command: Sequence[str | Path],
        *,
        account: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """A process in our folder that says into ``log``, and dies when we do.

        Its arguments have to name the folder: that is how the sweeper tells it from a later process of its number.
        """
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                env=environment,
                preexec_fn=_dying_with_parent(self.quit),
                **(account or {}),
            )
        with (self.folder / "pids").open("a") as pids:
            pids.write(f"{process.pid}\n")
        return process

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(self.start_seconds)
        self.process = None

    def _children(self) -> list[int]:
        """All that the server started, which may hold what it held until they are gone too."""
        pids = [] if self.process is None else [self.process.pid]
        for pid in pids:
            listed = Path(f"/proc/{pid}/task/{pid}/children")
            if listed.exists():
                pids += [int(child) for child in listed.read_text().split()]
        return pids[1:]


def free_port() -> int:
    """A loopback port that nothing listens on, below those that systems hand out to connections.

    A client that keeps trying a port of theirs while its server is away gets connected to itself in the end, and the
    server cannot have it back.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                taken.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _dying_with_parent(number: signal.Signals) -> Any:
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        if hasattr(libc, "prctl"):
            libc.prctl(_DIE_WITH_PARENT, number)

    return prepare
