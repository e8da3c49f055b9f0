"""``penstock up`` as a process over the example, and commands beside it."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from penstock.project import RabbitMQ, load_project
from tests.support import commands
from tests.support.example import copied, without_tests
from tests.support.metrics import conform
from tests.support.queues import a_queue, publish, until


def a_project(folder: Path, warehouse: dict[str, Any], broker: str, queue_type: str = "quorum") -> Path:
    """The example over a queue, without what dbt would test."""
    directory = copied(folder)
    without_tests(directory)
    columns = dict.fromkeys(
        ("id", "event_type", "username", "user_email", "user_type", "organization_name", "plan_name"), "text"
    )
    queue = a_queue(broker, queue_type)
    settings = {
        "name": "user_events",
        "destinations": {"here": warehouse},
        "sources": {
            "event_queue": {"type": "rabbitmq", "url": broker, "queue": queue.queue, "queue_type": queue_type},
            "event_files": {"type": "files", "path": "data/user_events/**"},
            "organization_files": {"type": "files", "path": "data/organizations/**"},
        },
        "streams": {
            "user_events": {
                "from": ["event_queue", "event_files"],
                "event_time": "received_at",
                "columns": {**columns, "received_at": "timestamp"},
            },
            "organizations": {
                "from": "organization_files",
                "identity": ["organization_key"],
                "disposition": "merge",
                "version": "created_at",
                "columns": {"organization_key": "text", "organization_name": "text", "created_at": "timestamp"},
            },
        },
    }
    (directory / "penstock.yml").write_text(json.dumps(settings))
    return directory


def an_event(id_: str, kind: str = "User Created", at: str = "2025-05-01T10:00:00", **said: str) -> dict[str, str]:
    """One event of a user."""
    return {
        "id": id_, "event_type": kind, "username": id_, "user_email": f"{id_}@example.com", "user_type": "User",
        "organization_name": "Initech", "plan_name": "Free", "received_at": at, **said,
    }  # fmt: skip


def send(project: Path, events: Sequence[dict[str, str]]) -> None:
    """Put events on the project's queue."""
    settings = load_project(project).sources["event_queue"]
    assert isinstance(settings, RabbitMQ)
    publish(settings, [json.dumps(e).encode() for e in events])


def call(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command beside the process."""
    return commands.penstock(project, *words, "--project-dir", str(project), timeout=120)


class Up:
    """A process that is up."""

    def __init__(self, project: Path, *words: str) -> None:
        self.project = project
        log = project / "up.log"
        log.write_text("")
        self.process = commands.Started(project, "up", "--project-dir", str(project), *words, outputs=(log, log))
        self.file = project / ".penstock" / "up.json"
        until(lambda: self.file.exists() or self.process.poll() is not None, self.said)
        assert self.process.poll() is None, self.said()
        self.found = json.loads(self.file.read_text())
        self.url = f"http://{self.found['host']}:{self.found['port']}"

    def said(self) -> str:
        """What it printed."""
        return (self.project / "up.log").read_text()

    def get(self, path: str, body: bytes | None = None, token: str | None = None) -> tuple[int, str]:
        """Ask it."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, body, headers), timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def status(self) -> dict[str, Any]:
        """Its parts and the ledger."""
        found: dict[str, Any] = json.loads(self.get("/status", token=self.found["token"])[1])
        return found

    def query(self, sql: str) -> list[list[Any]]:
        """Rows, asked for through the process."""
        code, said = self.get("/query", json.dumps({"sql": sql}).encode(), self.found["token"])
        return json.loads(said)["rows"] if code == 200 else []

    def part(self, name: str) -> dict[str, Any]:
        """How a part fares."""
        return next(p for p in self.status()["parts"] if name in p["part"])

    def figures(self) -> dict[tuple[str, str], float]:
        """``(name, stream, model or part)`` → value."""
        code, page = self.get("/metrics")
        assert code == 200
        conform(page)
        return {
            (s.name, next((s.labels[n] for n in ("stream", "model", "part") if n in s.labels), "")): s.value
            for family in text_string_to_metric_families(page)
            for s in family.samples
        }

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def up(project: Path, *words: str) -> Iterator[Up]:
    """A process for the block; ended at once if the block did not end it."""
    started = Up(project, *words)
    try:
        yield started
    except BaseException:
        print(started.said())
        raise
    finally:
        if started.process.poll() is None:
            started.process.kill()
            started.process.wait()


def eventually(measure: Callable[[], Any], expected: Any) -> None:
    """Wait for a value."""
    until(lambda: measure() == expected, lambda: f"{measure()!r} instead of {expected!r}")


def shown(project: Path, run: int) -> dict[str, Any]:
    """A run, by the command."""
    found: dict[str, Any] = json.loads(call(project, "runs", "show", str(run), "--json").stdout)
    return found
