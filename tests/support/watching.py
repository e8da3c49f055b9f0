"""A project whose folder is watched, and a watcher at work."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika

from penstock.errors import PenstockError
from penstock.land.loop import Stop
from penstock.land.session import Session
from penstock.logs import captured
from penstock.ports import Receipt
from penstock.project import load_project
from penstock.runs.watch import Watcher
from tests.support import commands
from tests.support.queues import until

PROJECT = """
name: trial
target: TARGET
destinations:
  duckdb: { type: duckdb, path: warehouse.duckdb, threads: 1, lock_timeout_seconds: 30 }
  postgres: { type: postgres, url: "POSTGRES" }
sources:
  files: { type: files, path: "data/**", settle_seconds: SETTLE }
  queue: { type: rabbitmq, url: "RABBITMQ", queue: q, queue_type: classic }
streams:
  events: { from: SOURCES, identity: IDENTITY, disposition: DISPOSITION, contract: { types: CONTRACT } }
"""
NOWHERE = "postgresql://nowhere/none"


def a_watched_project(
    folder: Path,
    postgres: str = "",
    rabbitmq: str = "amqp://nowhere",
    *,
    settle: float = 0.3,
    identity: str = "content",
    disposition: str = "append",
    contract: str = "rescue",
) -> Path:
    """A project that lands the folder ``data`` in ``events``, on DuckDB unless a PostgreSQL is given."""
    words = {
        "TARGET": "postgres" if postgres else "duckdb",
        "POSTGRES": postgres or NOWHERE,
        "RABBITMQ": rabbitmq,
        "SETTLE": str(settle),
        "IDENTITY": identity,
        "DISPOSITION": disposition,
        "CONTRACT": contract,
        "SOURCES": "files" if disposition == "replace" else "[files, queue]",
    }
    text = PROJECT
    for word, value in words.items():
        text = text.replace(word, value)
    (folder / "data").mkdir()
    (folder / "penstock.yml").write_text(text)
    return folder


class Watching:
    """A watcher at work in a thread, and what it has told."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.receipts: list[Receipt] = []
        self.records: list[dict[str, Any]] = []
        self.error: BaseException | None = None
        self.stop = Stop()
        self.watcher = Watcher(
            load_project(folder),
            "events",
            options.pop("source", "files"),
            stop=self.stop,
            on_commit=self.receipts.append,
            **options,
        )
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with captured() as self.records:
            try:
                self.watcher.run()
            except PenstockError as e:
                self.error = e

    @property
    def said(self) -> list[str]:
        """What it complained of."""
        return [r["event"] for r in self.records if r["level"] in ("warning", "error")]

    @property
    def read(self) -> int:
        return sum(receipt.read for receipt in self.receipts)

    @property
    def landed(self) -> int:
        return sum(receipt.landed for receipt in self.receipts)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something to be so."""
        until(lambda: holds() or self.error is not None, lambda: f"{self.receipts} {self.said}")
        assert self.error is None, self.error


@contextmanager
def watching(folder: Path, **options: Any) -> Iterator[Watching]:
    """A watcher that ends with the block."""
    found = Watching(folder, **options)
    found.thread.start()
    try:
        yield found
    finally:
        found.stop.set()
        found.thread.join(30)
        assert not found.thread.is_alive()


def lines(start: int, end: int) -> str:
    """Records, one a line."""
    return "".join(f'{{"n": {n}}}\n' for n in range(start, end))


def query(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of the project's warehouse."""
    with Session(load_project(folder)) as session:
        return [tuple(row) for row in session.destination.query(sql).rows]


def numbers(folder: Path) -> list[int]:
    """What has landed."""
    return [row[0] for row in query(folder, "select n from raw.events order by 1")]


def messages(url: str) -> list[dict[str, Any]]:
    """Take all that is on the queue."""
    found = []
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        while (got := channel.basic_get("q", auto_ack=True))[0] is not None:
            found.append(json.loads(got[2] or b""))
    return found


def penstock(folder: Path, *arguments: str, fault: str = "") -> subprocess.CompletedProcess[str]:
    """A command, run to its end."""
    return commands.penstock(folder, *arguments, environ={"PENSTOCK_FAULT": fault}, timeout=120)
