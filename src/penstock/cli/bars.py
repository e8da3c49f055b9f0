"""What is being done, while it goes on: on standard error, a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from penstock.cli.terminal import console

if TYPE_CHECKING:
    from penstock.ports import Batch


@contextmanager
def doing(label: str, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show on standard error what is being done, as what is given says it: on a terminal while it goes on, elsewhere a
    line every five seconds."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        from rich.status import Status

        with Status(label, console=console(stderr=True)) as status:
            yield lambda now: status.update(f"{label}: {now}")
    else:
        with _Beat(label) as beat:
            yield beat


class Progress(Protocol):
    """Is told of each batch."""

    def __call__(self, batch: Batch) -> None: ...


Advance = Callable[[int, int], None]
"""Is told of so many more, and of the bytes they took."""


@contextmanager
def progress_bar(label: str, total_bytes: int, *, quiet: bool) -> Iterator[Progress]:
    """Rows a second, bytes and time left: a bar on a terminal, a line every five seconds elsewhere, both on stderr."""
    with counting_bar(label, total_bytes, quiet=quiet) as advance:
        yield lambda batch: advance(len(batch.bodies) + len(batch.rejects), batch.bytes)


@contextmanager
def counting_bar(label: str, total_bytes: int, *, noun: str = "rows", quiet: bool) -> Iterator[Advance]:
    """As :func:`progress_bar`, for what is no batch."""
    if quiet:
        yield lambda *_: None
    elif sys.stderr.isatty():
        with _bar(label, total_bytes, noun) as bar:
            yield bar
    else:
        yield _Lines(label, total_bytes, noun)


@contextmanager
def _bar(label: str, total_bytes: int, noun: str) -> Iterator[Advance]:
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    started = time.monotonic()
    rows = 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total_bytes or None, rate="")

        def advance(more: int, size: int) -> None:
            nonlocal rows
            rows += more
            rate = rows / max(time.monotonic() - started, 1e-3)
            bar.update(task, advance=size, rate=f"{rows:,} {noun}, {rate:,.0f} {noun}/s")

        yield advance


class _Lines:
    """Plain lines, for logs."""

    every_seconds = 5.0

    def __init__(self, label: str, total_bytes: int, noun: str) -> None:
        self._label = label
        self._total = total_bytes
        self._noun = noun
        self._started = self._printed = time.monotonic()
        self._rows = self._bytes = 0

    def __call__(self, more: int, size: int) -> None:
        self._rows += more
        self._bytes += size
        now = time.monotonic()
        if now - self._printed < self.every_seconds:
            return
        self._printed = now
        seconds = now - self._started
        left = (self._total - self._bytes) / (self._bytes / seconds) if 0 < self._bytes <= self._total else None
        remaining = f", {left:,.0f} s left" if left is not None else ""
        whole = f" of {self._total / 2**20:,.0f}" if self._total else ""
        print(
            f"{self._label}: {self._rows:,} {self._noun}, {self._rows / seconds:,.0f} {self._noun}/s,"
            f" {self._bytes / 2**20:,.0f}{whole} MiB{remaining}",
            file=sys.stderr,
            flush=True,
        )


class _Beat:
    """What is being done, as plain lines, also when nothing is heard of it."""

    every_seconds = 5.0

    def __init__(self, label: str) -> None:
        self._label = label
        self._now = ""
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __call__(self, now: str) -> None:
        self._now = now

    def __enter__(self) -> _Beat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self.every_seconds):
            seconds = time.monotonic() - self._started
            print(f"{self._label}: {self._now or 'at work'}, {seconds:,.0f} s", file=sys.stderr, flush=True)
