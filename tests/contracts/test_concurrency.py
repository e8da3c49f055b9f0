"""Several processes at one warehouse: PostgreSQL takes them all, DuckDB one after the other."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penstock import Session, load_project
from penstock.destinations.duckdb.destination import DuckDBDestination
from penstock.errors import LockedError
from penstock.ports import Destination
from tests.support import commands
from tests.support.warehouse import ledger, table

ROUNDS = 2

PROJECT = """
name: shared
target: {kind}
destinations:
  duckdb: {{ type: duckdb, path: warehouse.duckdb, threads: 1, lock_timeout_seconds: {wait} }}
  postgres: {{ type: postgres, url: "{url}" }}
sources:
  files: {{ type: files, path: {paths} }}
streams:
{streams}
load: {{ batch_bytes: 8KB, commit_bytes: 24KB }}
"""

MERGED = "{ from: files, identity: [n], disposition: merge, version: v }"
HOLD = """
import duckdb, sys, time
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


def _project(
    folder: Path, paths: list[str], streams: dict[str, str], *, kind: str = "postgres", url: str = "", wait: float = 10
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    listed = "\n".join(f"  {name}: {settings}" for name, settings in streams.items())
    text = PROJECT.format(
        kind=kind, url=url or "postgresql://nowhere/none", paths=json.dumps(paths), streams=listed, wait=wait
    )
    (folder / "penstock.yml").write_text(text)
    return folder


def _start(project: Path, *streams: str) -> commands.Started:
    return commands.Started(project, "load", *streams, "--quiet")


def _finish(*processes: commands.Started) -> None:
    codes = [process.wait(100) for process in processes]
    assert codes == [0] * len(processes)


def _open(project: Path) -> Destination:
    return Session(load_project(project)).destination


def _write(folder: Path) -> None:
    """Three files that overlap by half; each brings columns of its own as it goes on."""
    folder.mkdir()
    for name, start in (("a", 0), ("b", 300), ("c", 600)):
        lines = []
        for n in range(start, start + 600):
            record = {"n": n, "v": n % 7, "text": "x" * 20}
            if n % 100 == 0:
                record[f"new_{n}"] = n
            lines.append(json.dumps(record))
        (folder / f"{name}.ndjson").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "settings", [pytest.param("{ from: files }", id="append", marks=pytest.mark.slow), pytest.param(MERGED, id="merge")]
)
def test_two_loads_into_one_new_stream(tmp_path: Path, postgres_url: str, settings: str) -> None:
    """Processes that load overlapping files with growing columns into the same new stream, several times: the table
    is that of one load after the other, the ledger adds up, and none fails or waits for ever."""
    data = tmp_path / "data"
    _write(data)
    rounds = {f"s{i}": settings for i in range(ROUNDS)}
    everything = [str(data / "*.ndjson")]
    one = _project(tmp_path / "one", [str(data / "a.ndjson"), str(data / "b.ndjson")], rounds, url=postgres_url)
    two = _project(tmp_path / "two", [str(data / "c.ndjson"), str(data / "b.ndjson")], rounds, url=postgres_url)
    _finish(_start(one), _start(two))
    alone = _project(tmp_path / "alone", everything, {"single": settings}, url=postgres_url)
    _finish(_start(alone))
    destination = _open(alone)
    try:
        expected = table(destination, "single")
        assert len(expected) == 1_200
        for stream in rounds:
            assert table(destination, stream) == expected
            for read, landed, duplicates, rejected in ledger(destination, stream):
                assert read == landed + duplicates + rejected
            assert sum(load[1] for load in ledger(destination, stream)) == 1_200
        seqs = [s for (s,) in destination.query("select seq from penstock.loads order by load_id, seq").rows]
        assert sorted(seqs) == list(range(1, len(seqs) + 1))
    finally:
        destination.close()


def test_a_second_process_waits_for_duckdb(tmp_path: Path) -> None:
    """A warehouse that is let go of within the timeout is waited for."""
    path = tmp_path / "w.duckdb"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path), "1.0"], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        destination = DuckDBDestination(path, lock_timeout_seconds=20)
        destination.prepare()
        destination.close()


@pytest.mark.slow
def test_duckdb_held_by_another_process(tmp_path: Path) -> None:
    """After a bounded wait the error names the process that holds the file and how to go on; exit code 5."""
    project = _project(tmp_path / "p", ["*.ndjson"], {"s": "{ from: files }"}, kind="duckdb", wait=0.5)
    (project / "f.ndjson").write_text('{"a":1}\n')
    path = project / "warehouse.duckdb"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path), "60"], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "held\n"
            started = time.monotonic()
            with pytest.raises(LockedError, match=f"process {holder.pid}") as caught:
                DuckDBDestination(path, lock_timeout_seconds=0.5).prepare()
            assert 0.5 <= time.monotonic() - started < 3
            assert f"kill {holder.pid}" in caught.value.fix and "lock_timeout_seconds" in caught.value.fix
            for command in ("load", "status", "doctor"):
                run = commands.penstock(project, command, "--project-dir", str(project))
                assert run.returncode == 5, (command, run.stdout, run.stderr)
                assert f"process {holder.pid}" in run.stdout + run.stderr
        finally:
            holder.kill()
    _finish(_start(project))
