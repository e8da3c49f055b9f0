"""Measures the way of a batch from the loop to DuckDB: how often it goes from one module to another, and how often up.

A *stop* is a step from a function into another module; one that a batch takes again and again, as for each column, is
counted once. What is only asked of a value, a property or a length, is no stop. A *climb* is a stop in a module that
imports the one it comes from, directly or by way of others.

Usage: python -m tools.way [--list]
"""

from __future__ import annotations

import functools
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from penstock.plural import count
from tools.check_modules import SOURCE, _module, _modules_imported

_PROJECT = """
name: way
destinations: {local: {type: duckdb, path: way.duckdb}}
sources: {files: {type: files, path: "data/*"}}
streams: {events: {from: files}}
load: {batch_bytes: 50000}
"""
_EVENTS = 2_000
_LOOP = "penstock.land.loop"
_VALUES = ("__len__", "__bool__", "__iter__", "__eq__", "__hash__")


@dataclass(frozen=True, slots=True)
class Stop:
    """A step from a function into another module; ``function`` is the first one called there."""

    before: str
    caller: str
    module: str
    function: str

    def __str__(self) -> str:
        return f"{self.before}.{self.caller} -> {self.module}.{self.function}"


@dataclass(frozen=True, slots=True)
class Way:
    """The way of one batch: its stops, and how many calls between modules they come to."""

    stops: tuple[Stop, ...]
    calls: int

    @property
    def modules(self) -> set[str]:
        """Where it stops."""
        return {stop.module for stop in self.stops}

    @property
    def climbs(self) -> list[Stop]:
        """The stops that go up."""
        return [stop for stop in self.stops if _is_above(stop.module, stop.before)]

    def __str__(self) -> str:
        return (
            f"{count(len(self.stops), 'stop')} in {count(len(self.modules), 'module')} and climbs up"
            f" {count(len(self.climbs), 'time')} ({count(self.calls, 'call')} between modules)"
        )


def ways() -> tuple[Way, Way]:
    """The way of a stream's first batch, which makes its columns, and that of a later one."""
    from penstock.land.session import Session
    from penstock.project import load_project
    from penstock.project.steps import LoadStep
    from penstock.samples.generate import write_user_events

    trace = _Trace()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "penstock.yml").write_text(_PROJECT, encoding="utf-8")
        (directory / "data").mkdir()
        write_user_events(directory / "data" / "events.ndjson", count=_EVENTS)
        with Session(load_project(directory, environ={})) as session:
            step = LoadStep(stream="events", source="files")
            threading.setprofile(trace)
            sys.setprofile(trace)
            try:
                session.load(step)
            finally:
                sys.setprofile(None)
                threading.setprofile(None)
    batches = list(trace.batches())
    return batches[0], batches[-2]


class _Trace:
    """Takes the calls between modules of Penstock, of all threads: ``sys.setprofile``."""

    def __init__(self) -> None:
        self._calls: dict[str, list[Stop]] = {}

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """One event of the interpreter."""
        if event != "call" or (module := _module_of(frame.f_code)) is None or _is_asked(module, frame.f_code):
            return
        caller = frame.f_back
        while caller is not None and _module_of(caller.f_code) is None:
            caller = caller.f_back
        before = None if caller is None else _module_of(caller.f_code)
        stop = Stop(
            before=before or _LOOP,
            caller="" if caller is None else _function(caller.f_code),
            module=module,
            function=_function(frame.f_code),
        )
        if stop.before != module:
            self._calls.setdefault(threading.current_thread().name, []).append(stop)

    def batches(self) -> Iterator[Way]:
        """What was done for each batch: shaping in the loop's thread, landing in another."""
        threads = [calls for name, calls in self._calls.items() if not name.startswith("read")]
        shaping = _split(threads, "penstock.shape.", ".shape")
        landing = _split(threads, "penstock.destinations.", ".write")
        for shaped, landed in zip(shaping, landing, strict=True):
            calls = [*shaped, *landed]
            first: dict[tuple[str, str, str], Stop] = {}
            for stop in calls:
                first.setdefault((stop.before, stop.caller, stop.module), stop)
            yield Way(tuple(first.values()), len(calls))


def _split(threads: list[list[Stop]], package: str, method: str) -> list[list[Stop]]:
    """What came of each call of the loop's of a method of a package's, until the loop's next call of anything."""
    parts: list[list[Stop]] = []
    for calls in threads:
        inside = False
        for stop in calls:
            if stop.before.startswith("penstock.land"):
                inside = stop.module.startswith(package) and stop.function.endswith(method)
                if inside:
                    parts.append([])
            if inside:
                parts[-1].append(stop)
    return parts


@functools.cache
def _module_of(code: CodeType) -> str | None:
    path = Path(code.co_filename)
    return _module(path) if path.is_relative_to(SOURCE) else None


@functools.cache
def _function(code: CodeType) -> str:
    """The function that a piece of code is in."""
    return code.co_qualname.partition(".<locals>")[0]


@functools.cache
def _is_asked(module: str, code: CodeType) -> bool:
    """Whether a call only asks a value for something."""
    value: Any = sys.modules.get(module)
    for name in code.co_qualname.split("."):
        value = getattr(value, name, None)
    return isinstance(value, property) or code.co_name in _VALUES


@functools.cache
def _imported() -> dict[str, set[str]]:
    files = {_module(path): path for path in SOURCE.rglob("*.py")}
    return {name: _modules_imported(path, files) for name, path in files.items()}


def _is_above(module: str, other: str) -> bool:
    """Whether a module imports another, directly or by way of others."""
    known: set[str] = set()
    waiting = [module]
    while waiting:
        new = _imported()[waiting.pop()] - known
        known |= new
        waiting += new
    return other in known


if __name__ == "__main__":
    for title, way in zip(("the first batch of a stream", "a later batch"), ways(), strict=True):
        print(f"{title}: {way}")
        if "--list" in sys.argv:
            print(*(f"  {stop}" for stop in way.stops), sep="\n")
        for stop in way.climbs:
            print(f"  up: {stop}")
