"""How results look on a terminal and in a pipe."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from penstock.cli.document import print_document
from penstock.errors import PenstockError

if TYPE_CHECKING:
    from rich.console import Console

    from penstock.ports import Batch
    from penstock.run import Landed
    from penstock.transform.dbt import Node
    from penstock.transform.transform import Built

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)?")


def print_json(value: Any) -> None:
    """``value`` as JSON on standard output."""
    print_document(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def moment(value: datetime | str | None) -> str:
    """A time, or one as JSON has it, to the second."""
    if value is None:
        return ""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found.isoformat(sep=" ", timespec="seconds")


def with_moments(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its times as :func:`moment` has them, also those that came as JSON."""
    return {name: moment(value) if _is_moment(value) else value for name, value in row.items()}


def _is_moment(value: Any) -> bool:
    return isinstance(value, datetime) or (isinstance(value, str) and _MOMENT.fullmatch(value) is not None)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """A table as wide as it needs to be; a pipe is never cut."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console = _console(width=None if sys.stdout.isatty() else 10_000)
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    rows = list(rows)
    for i, name in enumerate(columns):
        numeric = any(isinstance(r[i], int | float | Decimal) and not isinstance(r[i], bool) for r in rows)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(v)) for v in row))
    if sys.stdout.isatty():
        console.print(table)
    else:
        with console.capture() as capture:
            console.print(table)
        print("\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n")))


def watch_screen(show: Callable[[], None], every_seconds: float = 2.0) -> None:
    """Have what ``show`` prints stand on the terminal, anew each time, as much of it as there is room for. Errors stand
    there too: what is away may come back. Ends with Ctrl-C, and leaves the terminal as it was."""
    from rich.console import Console

    with Console().screen(hide_cursor=True):
        while True:
            with redirect_stdout(_Kept()) as text:
                try:
                    show()
                except PenstockError as e:
                    print(f"error: {e}")
            lines = text.getvalue().splitlines()[: shutil.get_terminal_size().lines - 1]
            # home, each line cleared to its end, then all below
            sys.stdout.write("\x1b[H" + "".join(f"{line}\x1b[K\r\n" for line in lines) + "\x1b[J")
            sys.stdout.flush()
            time.sleep(every_seconds)


class _Kept(io.StringIO):
    """What is printed for a terminal, kept."""

    def isatty(self) -> bool:
        """As the terminal it is for."""
        return True


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Rows as CSV (RFC 4180) with a header."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([["" if v is None else _cell(v) for v in row] for row in rows])


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 row``, ``2 rows``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def landed_line(landed: Landed, seconds: float) -> str:
    """One line on what loading a stream from a source did."""
    skipped = f", {len(landed.skipped):,} skipped: landed before" if landed.skipped else ""
    if not landed.receipts:
        return f"{landed.stream}: 0 rows landed, nothing new in {landed.source}{skipped}"
    read = landed.total("read")
    parts = [
        f"{read:,} read",
        f"{landed.total('landed'):,} landed",
        count(landed.total("duplicates"), "duplicate"),
        f"{landed.total('quarantined'):,} quarantined",
    ]
    rate = f" ({seconds:.1f} s, {read / seconds:,.0f} rows/s)" if seconds > 0.05 else ""
    return f"{landed.stream}: {', '.join(parts)}{skipped}{rate}"


def built_line(built: Built, seconds: float) -> str:
    """One line on what dbt did."""
    if built.reason:
        return f"dbt: 0 rows rebuilt, {built.reason}"
    models = built.count("model", "success")
    tests = built.count("test", "pass")
    units = built.count("unit_test", "pass")
    warned = sum(n.status == "warn" for n in built.nodes)
    failed = [n for n in built.nodes if n.failed]
    skipped = [n for n in built.nodes if n.status == "skipped"]
    parts = [f"{count(models, 'model')} built"]
    if failed:
        parts.append(f"{len(failed):,} failed")
    if skipped:
        parts.append(f"{len(skipped):,} skipped")
    if tests:
        parts.append(f"{count(tests, 'test')} passed")
    elif built.tests_left_out:
        parts.append("tests of whole tables passed within a day")
    if units:
        parts.append(f"{count(units, 'unit test')} passed")
    if warned:
        parts.append(count(warned, "warning"))
    if built.waiting:
        parts.append(f"what reads {', '.join(built.waiting)} waits for its first load")
    return f"dbt: {', '.join(parts)} ({seconds:.1f} s)"


def node_line(node: Node) -> str:
    """One line on what became of a model or test."""
    rows = "" if node.rows is None or node.kind != "model" else f", {count(node.rows, 'row')}"
    said = f": {' '.join(node.message.split())[:300]}" if node.failed or node.status in ("warn", "skipped") else ""
    return f"  {node.status:8} {node.kind} {node.name}{rows} ({node.seconds:.2f} s){said}"


@contextmanager
def doing(label: str, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show on standard error what is being done, as what is given says it: on a terminal while it goes on, elsewhere a
    line every five seconds."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        from rich.status import Status

        with Status(label, console=_console(stderr=True)) as status:
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
    with Bar(*columns, console=_console(stderr=True), transient=True) as bar:
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
            print(f"{self._label}: {self._now}, {seconds:,.0f} s", file=sys.stderr, flush=True)


def _console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console that writes no escape sequence of its own where ``NO_COLOR`` is set."""
    from rich.console import Console

    plain = bool(os.environ.get("NO_COLOR"))
    return Console(stderr=stderr, width=width, highlight=False, color_system=None if plain else "auto")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value) if _is_double(value) else str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


def _is_double(value: Decimal) -> bool:
    return Decimal(repr(float(value))) == value
