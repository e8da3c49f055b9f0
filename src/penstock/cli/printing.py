"""How results look on a terminal and in a pipe."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from penstock.cli import tables
from penstock.cli.document import print_document
from penstock.cli.terminal import console
from penstock.errors import PenstockError
from penstock.plural import count as count  # commands have it from here, as all that prints
from penstock.stored import Document, StoredTime

if TYPE_CHECKING:
    from penstock.land.loop import Landed
    from penstock.ports import Batch
    from penstock.transform.dbt import Node
    from penstock.transform.outcome import Built

_CLOCK = re.compile(r" (?=\d)")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)?")


def print_json(value: Any) -> None:
    """``value`` as JSON on standard output: numbers to their digit, JSON documents as they are stored, and ``null`` for
    what JSON has no word for (NaN, infinity)."""
    print_document(json_text(value, indent="\n"))


def json_text(value: Any, indent: str = "") -> str:
    """``value`` as :func:`print_json` writes it, on one line without an ``indent``, which begins with a line's end.
    Whatever has no kind of its own in JSON is text."""
    inner = indent and f"{indent}  "
    match value:
        case Document():
            return value
        case Mapping():
            members = [f"{json.dumps(str(k), ensure_ascii=False)}: {json_text(v, inner)}" for k, v in value.items()]
            return _enclosed("{", members, "}", indent)
        case list() | tuple():
            return _enclosed("[", [json_text(v, inner) for v in value], "]", indent)
        case Decimal():
            return f"{value:f}" if value.is_finite() else "null"
        case float() if not math.isfinite(value):
            return "null"
        case None | bool() | int() | float():
            return json.dumps(value)
        case datetime() | date() | time_of_day():
            return json.dumps(value.isoformat())
        case StoredTime():
            return json.dumps(_CLOCK.sub("T", value, count=1))
        case _:
            return json.dumps(_text(value), ensure_ascii=False)


def _enclosed(start: str, parts: Sequence[str], end: str, indent: str) -> str:
    if not parts or not indent:
        return f"{start}{', '.join(parts)}{end}"
    inner = f"{indent}  "
    return f"{start}{inner}{f',{inner}'.join(parts)}{indent}{end}"


def moment(value: datetime | str | None) -> str:
    """A time, or one as JSON has it, to the second: on a terminal short and local, see :func:`zone_line`."""
    if value is None:
        return ""
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not sys.stdout.isatty() or at.tzinfo is None:
        return at.isoformat(sep=" ", timespec="seconds")
    at = at.astimezone()
    return f"{at:%m-%d %H:%M:%S}" if at.year == datetime.now(UTC).astimezone().year else f"{at:%Y-%m-%d %H:%M}"


def zone_line() -> str:
    """What the times on a terminal are, to be printed once; empty for a pipe, where each says so itself."""
    if not sys.stdout.isatty():
        return ""
    now = datetime.now(UTC).astimezone()
    offset = f"UTC{now.isoformat()[-6:]}" if now.utcoffset() else "UTC"
    return f"times: {offset}" if now.tzname() in (offset, "UTC") else f"times: {now.tzname()}, {offset}"


def with_moments(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its times as :func:`moment` has them, also those that came as JSON."""
    return {name: moment(value) if _is_moment(value) else value for name, value in row.items()}


def _is_moment(value: Any) -> bool:
    return isinstance(value, datetime) or (isinstance(value, str) and _MOMENT.fullmatch(value) is not None)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "", *, spare: Sequence[str] = ()
) -> None:
    """A table as :func:`penstock.cli.tables.print_table` makes it, of values as they are stored."""
    tables.print_table(columns, rows, title, cell=_cell, spare=spare)


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


def print_warnings(warnings: Iterable[str]) -> None:
    """What looks like a mistake in the project file, on standard error."""
    for text in warnings:
        print(f"warning: {text}", file=sys.stderr, flush=True)


def failures_json(failures: Sequence[PenstockError]) -> dict[str, Any]:
    """What could not be read, as a member of a report: nothing when all was."""
    if not failures:
        return {}
    return {"failures": [{"where": e.where, "what": e.what, "fix": e.fix or None} for e in failures]}


def landed_line(landed: Landed, seconds: float) -> str:
    """One line on what loading a stream from a source did."""
    skipped = f", {len(landed.skipped):,} skipped: landed before" if landed.skipped else ""
    if landed.failures:
        skipped += f", {len(landed.failures):,} not read"
    if landed.kept:
        return f"{landed.stream}: not replaced, since {landed.source} could not be read whole{skipped}"
    if not landed.receipts and landed.failures:
        return f"{landed.stream}: 0 rows landed from {landed.source}{skipped}"
    if not landed.receipts:
        return f"{landed.stream}: 0 rows landed, nothing new in {landed.source}{skipped}"
    read = landed.total("read")
    parts = [
        f"{read:,} read",
        f"{landed.total('landed'):,} landed",
        count(landed.total("duplicates"), "duplicate"),
        f"{landed.total('quarantined'):,} quarantined",
    ]
    if deleted := landed.total("deleted"):
        parts.append(f"{deleted:,} deleted")
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
    parts += built.plan.notes
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


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case dict() | list():
            return json_text(value)
        case Decimal() if value.is_finite():
            return f"{value:f}"
        case _:
            return _text(value)


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
