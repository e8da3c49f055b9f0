"""Structured logs on standard error: text for people, JSON lines for programs.

A record has ``timestamp`` (ISO 8601, UTC), ``level``, ``logger``, ``event``, its own fields, and those of the context
that :func:`bound` gives: ``run_id``, ``stream``, ``source``, ``load_id``. What other libraries log through Python's
``logging`` looks the same. Every text in a record goes through :func:`penstock.errors.redact`.

structlog is imported when the first record is written, so that commands that log nothing do not wait for it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from penstock.engine_errors import error_text, shown_error
from penstock.errors import MASK, PenstockError, UsageError, redact

if TYPE_CHECKING:
    from penstock.ports import Receipt

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "text", "json"]

LEVEL_VARIABLE = "PENSTOCK_LOG_LEVEL"
FORMAT_VARIABLE = "PENSTOCK_LOG_FORMAT"
LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_DOWNWARDS = tuple(LEVELS.items())[::-1]
FORMATS = ("auto", "text", "json")
SUMMARY_SECONDS = 10.0
"""At most so often, commits are summed up in a record."""
REPEAT_SECONDS = 300.0
"""At most so often, it is said again that something is still wrong."""

_SECRET_FIELDS = ("password", "passwd", "secret", "token", "api_key", "authorization")
_COUNTS = ("read", "landed", "duplicates", "quarantined")
_MOST_NAMES = 5

_NONE: Mapping[str, Any] = MappingProxyType({})
_context: ContextVar[Mapping[str, Any]] = ContextVar("penstock_log_context", default=_NONE)
_retold: ContextVar[str] = ContextVar("penstock_log_retold", default="")
_write = threading.Lock()
_kept: tuple[list[dict[str, Any]], ...] = ()
_serves = False
_level = logging.WARNING
_format: Format = "auto"


class Log:
    """Writes records under one name."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, event: str, **fields: Any) -> None:
        """What only somebody who looks for a fault wants to know."""
        self._log("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """What happened, as it should."""
        self._log("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """What should not happen, and is dealt with: it is tried again, or left out."""
        self._log("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """What somebody has to look at."""
        self._log("error", event, fields)

    def _log(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        if LEVELS[level] >= _level or _kept:
            given = {k: v for k, v in fields.items() if v is not None}
            record = {**_context.get(), **given, "event": event, "level": level, "logger": self._name}
            _emit(level, record)


def get_log(name: str) -> Log:
    """The log of a part, by a short name such as ``consume``."""
    return Log(name)


def configure(
    *,
    serves: bool = False,
    level: Level | None = None,
    format: Format | None = None,
    verbose: bool = False,
    quiet: bool = False,
) -> None:
    """Say what is logged, and how; called again, it says it anew.

    Args:
        serves: the command stays until it is stopped, and tells of its life: from ``info`` on, not from ``warning``.
        level, format: what the project file says; ``PENSTOCK_LOG_LEVEL`` and ``PENSTOCK_LOG_FORMAT`` are stronger.
        verbose: one level more than without anything said, at least.
        quiet: from ``warning`` on, whatever the project file says.

    Raises:
        UsageError: a variable has no level's or format's name.
    """
    global _serves, _level, _format
    _serves = serves
    default: Level = "info" if serves and not quiet else "warning"
    _level = LEVELS[_choice(LEVEL_VARIABLE, tuple(LEVELS)) or (None if quiet else level) or default]
    if verbose:
        _level = min(_level, logging.DEBUG if serves else logging.INFO)
    _format = _choice(FORMAT_VARIABLE, FORMATS) or format or "auto"
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _Handler)]:
        root.removeHandler(handler)
    root.addHandler(_Handler())
    # others' info is for whoever looks for a fault: they write it for each request and connection
    root.setLevel(logging.INFO if _level <= logging.DEBUG else max(_level, logging.WARNING))


def is_json() -> bool:
    """Whether records are JSON lines."""
    return _format == "json" or (_format == "auto" and not sys.stderr.isatty())


def fail(error: PenstockError) -> None:
    """Say what a command failed of: to a person, or in the log of one that writes it for programs."""
    if _serves and is_json():
        Log("penstock").error("failed", **described(error), exit_code=error.exit_code)
    else:
        print(f"error: {error}", file=sys.stderr)


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Have every record of the block carry these fields, as far as it is written by this thread."""
    token = _context.set({**_context.get(), **{k: v for k, v in fields.items() if v is not None}})
    try:
        yield
    finally:
        _context.reset(token)


@contextmanager
def retold(library: str) -> Iterator[None]:
    """Leave out what a library logs in the block, in this thread, at length and at each attempt: it raises it as well,
    and whoever catches that says it. Level debug has it."""
    token = _retold.set(library)
    try:
        yield
    finally:
        _retold.reset(token)


def described(error: BaseException) -> dict[str, Any]:
    """An error as fields: ``error``, ``error_type``, and ``where`` and ``fix`` where it says them."""
    if isinstance(error, PenstockError):
        detail = {"error": error.what, "where": error.where, "fix": error.fix}
    else:
        detail = {"error": error_text(error)}
    return {**{k: v for k, v in detail.items() if v}, "error_type": type(error).__name__}


@contextmanager
def captured() -> Iterator[list[dict[str, Any]]]:
    """The records of the block, of all threads and levels, instead of writing them: for tests."""
    global _kept
    records: list[dict[str, Any]] = []
    _kept = (*_kept, records)
    try:
        yield records
    finally:
        _kept = tuple(other for other in _kept if other is not records)


class Repeated:
    """Logs what goes wrong again and again: at once, when it goes wrong in another way, and else at most every
    ``every_seconds``."""

    def __init__(self, log: Log, *, every_seconds: float = REPEAT_SECONDS) -> None:
        self._log = log
        self._every = every_seconds
        self._way: str | None = None
        self._last = 0.0

    def warning(self, event: str, *, way: str = "", **fields: Any) -> None:
        """It went wrong, in this way."""
        self._say(self._log.warning, event, way, fields)

    def error(self, event: str, *, way: str = "", **fields: Any) -> None:
        """Likewise, of what somebody has to look at."""
        self._say(self._log.error, event, way, fields)

    def over(self) -> None:
        """It goes well: the next time is a new one."""
        self._way = None

    def _say(self, say: Callable[..., None], event: str, way: str, fields: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if way != self._way or now - self._last >= self._every:
            self._way, self._last = way, now
            say(event, **fields)


class Summary:
    """Logs what happens all the time: each time at level debug, and at level info the sum of it, at once and then at
    most every ``every_seconds``.

    It may be used from any thread. :meth:`flush` writes what has not been said yet.

    Args:
        each, event: the names of the records, of one time and of the sum.
        fields: of every record; a timer's thread has no context.
    """

    def __init__(
        self, log: Log, each: str, event: str, *, every_seconds: float = SUMMARY_SECONDS, **fields: Any
    ) -> None:
        self._log = log
        self._each = each
        self._event = event
        self._every = every_seconds
        self._fields = fields
        self._lock = threading.Lock()
        self._sums: dict[str, float] = {}
        self._files: dict[str, None] = {}
        self._latest: Mapping[str, Any] | None = None
        self._context: Mapping[str, Any] = {}
        self._said = -every_seconds
        self._timer: threading.Timer | None = None

    def add(self, times: str, counts: Mapping[str, float], *, files: Sequence[str] = (), **latest: Any) -> None:
        """Take note: ``counts`` are added up, so is 1 under the name ``times``; ``files`` are named together; of
        ``latest``, the last is said."""
        self._log.debug(self._each, **self._fields, **_named(files), **latest, **counts)
        with self._lock:
            self._files |= dict.fromkeys(files)
            for name, number in {times: 1, **counts}.items():
                self._sums[name] = round(self._sums.get(name, 0) + number, 3)
            self._latest, self._context = latest, _context.get()
            left = self._said + self._every - time.monotonic()
            if left > 0 and self._timer is None:
                self._timer = threading.Timer(left, self.flush)
                self._timer.daemon = True
                self._timer.start()
        if left <= 0:
            self.flush()

    def flush(self) -> None:
        """Say what has not been said."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            sums, self._sums = self._sums, {}
            latest, self._latest = self._latest, None
            files, self._files = self._files, {}
            self._said = time.monotonic()
        if latest is not None:
            self._log.info(self._event, **{**self._context, **self._fields, **_named(tuple(files)), **latest, **sums})


def listed(names: Sequence[str]) -> str:
    """The first names of some, and how many more there are."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def _named(files: Sequence[str]) -> dict[str, str]:
    return {"files": listed(files)} if files else {}


class Commits(Summary):
    """Logs commits so."""

    def __init__(self, log: Log, *, every_seconds: float = SUMMARY_SECONDS, **fields: Any) -> None:
        super().__init__(log, "committed", "landed", every_seconds=every_seconds, **fields)

    def __call__(self, receipt: Receipt, files: Sequence[str] = ()) -> None:
        """Take note of a commit, and of the files that it landed."""
        seconds = (receipt.committed_at - receipt.started_at).total_seconds()
        counts = {name: getattr(receipt, name) for name in _COUNTS}
        self.add("commits", {**counts, "seconds": round(seconds, 3)}, files=files, load_id=receipt.load_id)


class _Handler(logging.Handler):
    """Takes what libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record as if it were ours."""
        if record.name.partition(".")[0] == _retold.get() and _level > logging.DEBUG:
            return
        try:
            level = next((n for n, number in _DOWNWARDS if record.levelno >= number), "debug")
            detail: dict[str, Any] = {
                **_context.get(),
                "event": record.getMessage(),
                "level": level,
                "logger": record.name,
            }
            if record.exc_info and record.exc_info[1] is not None:
                error = shown_error(record.exc_info[1])
                detail["exc_info"] = (type(error), error, error.__traceback__)
            _emit(level, detail)
        except Exception:  # noqa: BLE001 - as logging has it: what cannot be logged stops nobody
            self.handleError(record)


def _emit(level: str, record: dict[str, Any]) -> None:
    if kept := _kept:
        for records in kept:
            records.append(record)
        return
    line = _rendered(level, record)
    with _write, suppress(OSError, ValueError):  # who reads the log may be gone
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _rendered(level: str, record: MutableMapping[str, Any]) -> str:
    colours = not is_json() and sys.stderr.isatty() and "NO_COLOR" not in os.environ
    for process in _processors(is_json(), colours):
        record = process(None, level, record)
    return str(record)


@cache
def _processors(as_json: bool, colours: bool) -> tuple[Callable[..., Any], ...]:
    """From a record to a line."""
    import structlog

    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    if as_json:
        without_locals = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        traces = structlog.processors.ExceptionRenderer(without_locals)
        return (stamp, traces, _redacted, _in_order, structlog.processors.JSONRenderer(default=str, ensure_ascii=False))
    console = structlog.dev.ConsoleRenderer(
        colors=colours, pad_event_to=24, exception_formatter=structlog.dev.plain_traceback
    )
    return (stamp, structlog.processors.format_exc_info, _redacted, console)


def _redacted(_: Any, __: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The record without secrets."""
    return {k: _clean(k, v) for k, v in record.items()}


def _clean(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return MASK if value and any(s in name.lower() for s in _SECRET_FIELDS) else redact(value)
    if isinstance(value, Mapping):
        return {k: _clean(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(name, v) for v in value]
    return value if value is None or isinstance(value, int | float) else redact(str(value))


_FIRST = ("timestamp", "level", "logger", "event")


def _in_order(_: Any, __: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The fields that every record has first."""
    first = {k: record[k] for k in _FIRST if k in record}
    return first | {k: v for k, v in record.items() if k not in _FIRST}


def _choice(variable: str, names: tuple[str, ...]) -> Any:
    """What a variable says, None when it says nothing."""
    value = os.environ.get(variable, "").strip().lower()
    if value and value not in names:
        raise UsageError(f"{variable} is {value!r}", fix=f"set it to {', '.join(names[:-1])} or {names[-1]}")
    return value or None
