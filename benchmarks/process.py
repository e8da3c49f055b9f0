"""Runs a child process and measures it whole: wall time from its start to its end, and its peak memory."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class ChildFailed(Exception):
    """A child ended badly, or not in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a child took.

    ``cpu_seconds`` are those of the child and of all descendants it waited for, in user and kernel mode.
    ``peak_bytes`` is the largest resident set of the child or of any one descendant it waited for, not their sum.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


def run(
    command: Sequence[str | Path],
    *,
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Ran:
    """Run a command to its end.

    This process has to stay small: Linux counts what the parent holds at the start of a child as the child's own.

    Raises:
        ChildFailed: it ended with another code than 0, or was killed, with all it had started, at the time limit.
    """
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            cwd=directory or ROOT,
            start_new_session=True,
        )
        try:
            in_time = _ends_within(child.pid, timeout_seconds)
        except BaseException:
            _kill(child)
            child.wait()
            raise
        if not in_time:
            _kill(child)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        output = said.read().decode(errors="replace")
    name = " ".join(str(part) for part in command)[:200]
    if not in_time:
        raise ChildFailed(f"not done after {timeout_seconds:.0f} s: {name}\n{output[-2000:]}")
    if child.returncode:
        raise ChildFailed(f"exit code {child.returncode}: {name}\n{output[-2000:]}")
    return Ran(
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_bytes=usage.ru_maxrss * 1024,
        output=output,
    )


def ticks(process: int) -> tuple[int, ...]:
    """Ticks in user and kernel mode, its own and those of its children that it has waited for; none when it is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return (0, 0, 0, 0)
    return tuple(map(int, fields[11:15]))


def resident_bytes(process: int, name: str) -> int:
    """Bytes of a process: ``VmRSS`` as it is, ``VmHWM`` at most so far; none when it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def session(leader: int) -> list[int]:
    """The processes of a session, such as one that was started by :class:`Worker`, that are there now."""
    pids = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader:
                pids.append(int(folder.name))
    return pids


class Worker:
    """A child that stays, takes one JSON object a line on its standard input and answers each with one."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        timeout_seconds: float,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the worker
        self._child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **(environment or {})},
            cwd=directory or ROOT,
            start_new_session=True,
        )

    @property
    def cpu_seconds(self) -> float:
        """What it has taken so far in user and kernel mode, with all descendants it has waited for."""
        return sum(ticks(self._child.pid)) / os.sysconf("SC_CLK_TCK")

    @property
    def peak_bytes(self) -> int:
        """Its largest resident set so far."""
        return resident_bytes(self._child.pid, "VmHWM")

    @property
    def session_cpu_seconds(self) -> float:
        """What it and all that it started and that are there have taken. Nobody waits for a Spark's Java."""
        return sum(sum(ticks(pid)) for pid in session(self._child.pid)) / os.sysconf("SC_CLK_TCK")

    @property
    def session_peak_bytes(self) -> int:
        """The sum of their largest resident sets so far."""
        return sum(resident_bytes(pid, "VmHWM") for pid in session(self._child.pid))

    @property
    def read_bytes(self) -> int:
        """What it has asked the operating system to read so far, of files, cached ones too."""
        lines = Path(f"/proc/{self._child.pid}/io").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("rchar"))

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send one request and return its answer.

        Raises:
            ChildFailed: the worker ended, or did not answer in time.
        """
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
            self._child.stdin.flush()
        except OSError:
            raise ChildFailed(f"the worker ended: {self._said()}") from None
        ready, _, _ = select.select([self._child.stdout], [], [], self._timeout_seconds)
        if not ready:
            raise ChildFailed(f"no answer to {request} within {self._timeout_seconds:.0f} s: {self._said()}")
        line = self._child.stdout.readline()
        if not line:
            raise ChildFailed(f"the worker ended at {request}: {self._said()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Have it end; kill it when it does not."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.close()
            self._child.wait(30)
        except (OSError, subprocess.TimeoutExpired):
            _kill(self._child)
            self._child.wait()
        self._child.stdout.close()
        self._errors.close()

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-2000:]

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _ends_within(pid: int, seconds: float) -> bool:
    handle = os.pidfd_open(pid)
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def _kill(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
