"""Law 1 by HTTP: whatever the API does, and whenever the load is killed, the table is that of a quiet load."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.destinations.duckdb.destination import DuckDBDestination
from penstock.land.session import Session
from penstock.project import load_project
from penstock.samples.generate import write_user_events
from penstock.spec import StreamSpec
from tests.support.api import Api, Asked, Said
from tests.support.warehouse import land, ledger, quarantined, table, write_files

RECORDS, SIZE = 12_000, 100
KILLS = 4
TRANSIENT = ["500", "503", "429", "reset", "cut", "truncate", "html", "before", "error"]
"""What may befall a page the first time that it is asked for."""

PROJECT = """
name: killed
target: {target}
destinations:
  duckdb: {{ type: duckdb, path: warehouse.duckdb, threads: 1 }}
  postgres: {{ type: postgres, url: "{url}" }}
sources:
  api:
    type: http
    base_url: {api}
    concurrency: 4
    records: data
    timeouts: {{ read_seconds: 2 }}
    retries: {{ attempts: 5, first_wait_seconds: 0.01, longest_wait_seconds: 0.05 }}
    endpoints:
      events: {{ pagination: {pagination} }}
streams:
  events: {{ from: api }}
load: {{ batch_bytes: 64KB, commit_bytes: 128KB }}
transform: false
"""
PAGINATION = {"page": "page", "cursor": "{ type: cursor, path: next }"}


class Trouble:
    """Pages of records, with copies of pages and pages that changed places; and anything, the first time, at random."""

    def __init__(self, lines: list[bytes], seed: int) -> None:
        self._draw = random.Random(seed)
        pages = [lines[at : at + SIZE] for at in range(0, len(lines), SIZE)]
        for at in self._draw.sample(range(0, len(pages) - 1, 2), 5):
            pages[at], pages[at + 1] = pages[at + 1], pages[at]
        for at in sorted(self._draw.sample(range(len(pages)), 5), reverse=True):
            pages.insert(at, pages[at])
        self._pages = pages
        self._asked_before: set[int] = set()
        self._stalls = 1
        self.count = 0
        self.kill: Callable[[int], None] = lambda _: None

    def __call__(self, asked: Asked) -> Said:
        self.count += 1
        self.kill(self.count)
        number = int(asked.query.get("cursor") or asked.query.get("page") or 1)
        kind = ""
        if number not in self._asked_before:
            self._asked_before.add(number)
            kind = self._draw.choice(TRANSIENT) if self._draw.random() < 0.2 else ""
            if number > 30 and self._stalls:
                self._stalls, kind = 0, "stall"
        return self._said(number, kind)

    def _said(self, number: int, kind: str) -> Said:
        body = self._body(number - 1 if kind == "before" and number > 1 else number)
        match kind:
            case "500" | "503":
                return Said(status=int(kind))
            case "429":
                return Said(status=429, headers={"retry-after": "0"})
            case "reset" | "cut" | "stall":
                return Said(body=body, fault=kind)
            case "truncate":
                return Said(body=body[: len(body) // 2])
            case "html":
                return Said(body=b"<html><title>Bad gateway</title></html>")
            case "error":
                return Said(body=b'{"error":"try again"}')
        return Said(body=body)

    def _body(self, number: int) -> bytes:
        page = self._pages[number - 1] if number <= len(self._pages) else []
        following = number + 1 if number < len(self._pages) else None
        return b'{"next":%s,"data":[%s]}' % (json.dumps(following).encode(), b",".join(page))


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Events, some of them twice, and some that are no record."""
    path = tmp_path_factory.mktemp("events") / "events.ndjson"
    write_user_events(path, count=RECORDS, seed=5, duplicates=0.01, out_of_order=0.05)
    found = path.read_bytes().splitlines()
    for n in range(0, RECORDS, 1_000):
        found[n] = b'"no record %d"' % n
    return found


@pytest.fixture(scope="module")
def expected(lines: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], set[bytes]]:
    """Table and quarantine that the same records make as a file."""
    folder = tmp_path_factory.mktemp("filed")
    write_files(folder / "in", {"events.ndjson": b"\n".join(lines)})
    destination = DuckDBDestination(folder / "file.duckdb", threads=1)
    destination.prepare()
    try:
        land(destination, folder / "in", StreamSpec(stream="events"))
        return table(destination, "events"), set(quarantined(destination, "events"))
    finally:
        destination.close()


def start(project: Path, fault: str = "") -> subprocess.Popen[bytes]:
    """A load of the project, in a process of its own."""
    command = [sys.executable, "-m", "penstock", "load", "--quiet", "--project-dir", str(project)]
    return subprocess.Popen(command, env={**os.environ, "PENSTOCK_FAULT": fault}, stderr=subprocess.PIPE)


def killing(process: subprocess.Popen[bytes], at: int) -> Callable[[int], None]:
    """Kills the load at the n-th request of all."""
    return lambda count: process.kill() if count == at else None


@pytest.mark.parametrize(
    ("target", "pagination"),
    [
        ("postgres", "page"),
        pytest.param("duckdb", "page", marks=pytest.mark.slow),
        pytest.param("duckdb", "cursor", marks=pytest.mark.slow),
    ],
)
def test_killed_among_faults(
    tmp_path: Path,
    lines: list[bytes],
    expected: tuple[list[dict[str, Any]], set[bytes]],
    target: str,
    pagination: str,
    request: pytest.FixtureRequest,
) -> None:
    """Killed again and again at random pages and at steps of the landing, by an API full of faults: the same table."""
    draw = random.Random(f"{target} {pagination}")
    trouble = Trouble(lines, seed=draw.randrange(1_000))
    url = request.getfixturevalue("postgres_url") if target == "postgres" else "postgresql://nowhere/none"
    with Api(trouble) as api:
        said = PROJECT.format(target=target, url=url, api=api.url, pagination=PAGINATION[pagination])
        (tmp_path / "penstock.yml").write_text(said)
        killed = 0
        for kill in range(KILLS):
            step = draw.choice(["after_shape", "before_commit", "after_commit", "before_ack"])
            process = start(tmp_path, f"{step}:kill:2" if kill % 2 else "")
            if not kill % 2:
                last = trouble.count + draw.randrange(10, 40)
                trouble.kill = killing(process, last)
            killed += process.wait(120) == -signal.SIGKILL
        trouble.kill = lambda _: None
        assert killed >= KILLS - 2
        process = start(tmp_path)
        _, complaint = process.communicate(timeout=120)
        assert process.returncode == 0, complaint.decode()
    with Session(load_project(tmp_path)) as session:
        destination = session.destination
        rows, refused = expected
        assert table(destination, "events") == rows
        assert set(quarantined(destination, "events")) == refused
        assert all(read == new + twice + bad for read, new, twice, bad in ledger(destination, "events"))
        assert sum(new for _, new, _, _ in ledger(destination, "events")) == len(rows)
