"""Where problems are kept from one process to the next: the ledger, and a file in the project for when that is away."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.alerts.notices import Key, Problem, merged, problem_of
from penstock.errors import PenstockError
from penstock.ledger import ledger_sql
from penstock.ledger.run_records import KEPT

if TYPE_CHECKING:
    from penstock.ports import Destination
    from penstock.project import Project

FOLDER = ".penstock"
_MOST_WAITS = 10
"""A process that decides for longer than these seconds hangs: it is not waited for."""


class Store:
    """The problems of a project and its target.

    Each is written to the file and to the ledger. The file is for when the warehouse is what fails; of both, the newer
    word on a problem counts. Neither being writable is no reason to fail: then a message may come twice.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._path = project.directory / FOLDER / f"alerts.{project.target}.json"
        self._destination: Destination | None = None
        self._unwritten: dict[Key, Problem] = {}

    def read(self) -> dict[Key, Problem]:
        """All of them."""
        problems = self._in_file()
        for problem in self.in_ledger():
            problems[problem.key] = merged(problems.get(problem.key), problem)
        return problems

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """No other process of the project is inside, as far as the warehouse can see to it."""
        with contextlib.ExitStack() as held:
            with contextlib.suppress(PenstockError):
                waited = itertools.count(1)
                held.enter_context(self._opened().claim("alerts", lambda _: next(waited) > _MOST_WAITS or _pause()))
            yield

    def write(self, all_: Mapping[Key, Problem], changed: Iterable[Problem]) -> None:
        """Keep them; ``changed`` are those that the ledger has otherwise."""
        self._write_file(all_)
        self._unwritten |= {problem.key: problem for problem in changed}
        if not self._unwritten:
            return
        with contextlib.suppress(PenstockError):
            destination = self._opened()
            sql = ledger_sql("keep_alert", **destination.ledger.types)
            for key, problem in list(self._unwritten.items()):
                destination.ledger.query(sql, _row(problem))
                del self._unwritten[key]
            return
        self.release()

    def forget(self) -> None:
        """Delete what was over long ago."""
        with contextlib.suppress(PenstockError):
            self._opened().query(ledger_sql("forget_alerts"), [datetime.now(UTC) - KEPT])

    def release(self) -> None:
        """Let go of the warehouse, until it is needed again."""
        if self._destination is not None:
            with contextlib.suppress(PenstockError):
                self._destination.close()
            self._destination = None

    def _opened(self) -> Destination:
        if self._destination is None:
            from penstock.destinations import expect_warehouse, open_destination

            settings = self._project.destination
            expect_warehouse(settings)  # that something fails is no reason to make a warehouse
            opened = open_destination(settings)
            opened.prepare()
            self._destination = opened
        return self._destination

    def in_ledger(self) -> list[Problem]:
        """What the ledger says; nothing when it is away."""
        try:
            rows = self._opened().query(ledger_sql("alerts")).rows
        except PenstockError:
            self.release()
            return []
        return _problems(json.loads(row[0]) if isinstance(row[0], str) else row[0] for row in rows)

    def _in_file(self) -> dict[Key, Problem]:
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))["problems"]
        except (OSError, ValueError, KeyError, TypeError):  # never written, or by another version
            return {}
        return {problem.key: problem for problem in _problems(kept)}

    def _write_file(self, all_: Mapping[Key, Problem]) -> None:
        until = datetime.now(UTC) - KEPT
        kept = [p.as_dict() for p in all_.values() if p.recovered_at is None or p.recovered_at > until]
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"problems": kept}, file)
            Path(name).replace(self._path)


def _pause() -> bool:
    time.sleep(1.0)
    return False


def _problems(rows: Iterable[dict[str, Any]]) -> list[Problem]:
    problems = []
    for one in rows:
        with contextlib.suppress(ValueError, TypeError):
            problems.append(problem_of(one))
    return problems


def _row(problem: Problem) -> list[Any]:
    return [
        problem.alert,
        problem.subject,
        problem.state,
        problem.what,
        problem.first_failed_at,
        problem.told,
        problem.told_at,
        problem.delivered_at,
        problem.recovered_at,
        problem.updated_at,
        json.dumps(problem.as_dict()),
    ]
