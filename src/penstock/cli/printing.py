"""How results look on a terminal and in a pipe."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from typing import Any

from typer import Exit

from penstock.cli import tables
from penstock.cli.json_document import print_document
from penstock.errors import PenstockError
from penstock.plural import count as count  # commands have it from here, as all that prints
from penstock.stored import Document, StoredTime

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


def end_with(problems: Sequence[PenstockError]) -> None:
    """Print what went wrong, after all that went right.

    Raises:
        typer.Exit: there is something, with the exit code of the first.
    """
    sys.stdout.flush()
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        raise Exit(problems[0].exit_code)


def failures_json(failures: Sequence[PenstockError]) -> dict[str, Any]:
    """What could not be read, as a member of a report: nothing when all was."""
    if not failures:
        return {}
    return {"failures": [{"where": e.where, "what": e.what, "fix": e.fix or None} for e in failures]}


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
