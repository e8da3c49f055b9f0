"""Law 1 for the lake: killed anywhere and run again, every record that was fetched is in its files, once."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest

from penstock.samples.generate import write_user_events
from tests.support import commands

ROWS = 20_000
STEPS = ["file_middle", "after_stage", "lake_prepared", "before_commit", "after_commit", "lake_middle", "before_ack"]
PROJECT = """
name: killed
target: {target}
destinations:
  duckdb: {{ type: duckdb, path: warehouse.duckdb, threads: 1 }}
  postgres: {{ type: postgres, url: "{url}" }}
sources:
  files: {{ type: files, path: "data/**" }}
lake: {{ path: lake }}
streams:
  events: {{ from: files, land: true }}
load: {{ batch_bytes: 256KB, commit_bytes: 1MB }}
transform: false
"""


def _load(project: Path, *options: str, fault: str = "") -> int:
    return commands.penstock(project, "load", "--quiet", *options, environ={"PENSTOCK_FAULT": fault}).returncode


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20,000 events in one file, some of them twice."""
    path = tmp_path_factory.mktemp("events") / "events.ndjson"
    write_user_events(path, count=ROWS, seed=7, duplicates=0.01)
    return path


@pytest.mark.parametrize(
    ("kind", "step"),
    [*(("duckdb", step) for step in STEPS), ("postgres", "lake_prepared"), ("postgres", "after_commit")],
)
def test_killed_at_every_step(
    tmp_path: Path, events: Path, kind: str, step: str, request: pytest.FixtureRequest
) -> None:
    """Killed in the second commit, before, between and after it and the renaming; a partner's files are left alone."""
    url = request.getfixturevalue("postgres_url") if kind == "postgres" else "postgresql://nowhere/none"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "events.ndjson").symlink_to(events)
    (tmp_path / "penstock.yml").write_text(PROJECT.format(target=kind, url=url))
    folder = tmp_path / "lake" / "events"
    other = folder / "date=2026-11-20" / ".00000000-20261120T000000000000Z-000000-001.ndjson.part"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"")
    nth = 6 if step in ("file_middle", "after_stage") else 2
    assert _load(tmp_path, fault=f"{step}:kill:{nth}") == -signal.SIGKILL
    seen = [path.read_bytes() for path in folder.rglob("*.ndjson") if not path.name.startswith(".")]
    assert all(content.endswith(b"\n") for content in seen)
    assert _load(tmp_path) == 0
    assert list(folder.rglob(".*")) == [other]
    kept: Counter[bytes] = Counter()
    for path in folder.rglob("date=*/2*.ndjson"):
        kept.update(path.read_bytes().splitlines())
    assert kept == Counter(events.read_bytes().splitlines())
