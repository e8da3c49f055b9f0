"""The benchmark runs, small, from its command line to its results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import compare, provenance, queue_fresh
from benchmarks.figures import Figure, Results
from benchmarks.loading import CSV, NESTED
from benchmarks.process import ROOT, ChildFailed, Worker, run
from benchmarks.queue_bench import QueueBench, freshness
from benchmarks.small import BATCH
from benchmarks.steps import JOB
from benchmarks.warehouses import postgres_server
from penstock.testing.rabbitmq import PrivateRabbitMQ


@pytest.mark.slow
def test_a_small_run_measures_and_tells_of_each_bar(tmp_path: Path) -> None:
    """Loads to DuckDB, again, and ten rows: each bar has a figure and a verdict, and the page names the code."""
    text = _page(tmp_path, "benchmarks", "--rows", "2000", "--runs", "1", "--no-peers", "--only", "duckdb", "ten")
    bars = text.split("## All figures")[0]
    for job in ("to DuckDB, deduplicated", "the same file again", "a 10-row file"):
        assert f"| {job}" in bars
    assert "read_json + distinct" in text
    assert "failed" not in text
    assert "cores" in text.split("## Machine and versions")[1]
    named = provenance.read(text)
    assert named is not None
    assert named.digest == provenance.digest(ROOT, provenance.HOT_PATHS["RESULTS.md"])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_kind_of_job_runs(tmp_path: Path) -> None:
    """At a size that says nothing: other records, PostgreSQL, memory, batches and the models' step."""
    jobs = ("postgres", "csv", "nested", "memory", "batches-duckdb", "models-postgres")
    text = _page(tmp_path, "benchmarks", "--rows", "2000", "--runs", "1", "--no-peers", "--only", *jobs)
    assert "failed" not in text
    for job in (NESTED, CSV, "to PostgreSQL", "peak memory", BATCH, f"{JOB}, postgres, wide"):
        assert f"\n| {job}" in text.split("## All figures")[0]
    postgres = next(line for line in text.splitlines() if line.startswith("| to PostgreSQL, deduplicated | Penstock"))
    assert float(postgres.split("|")[8]) > 0, "the server's CPU seconds"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_sizes_are_measured(tmp_path: Path) -> None:
    """A warehouse that grows on both engines, with its WAL compressed too, and memory."""
    text = _page(tmp_path, "benchmarks.sizes", "--rows", "2000", "--memory", "3000", "--only", "growth", "memory")
    assert "failed" not in text
    for warehouse in ("duckdb", "postgres", "postgres, wal_compression = lz4"):
        assert f"| {warehouse} | model one more day |" in text
    assert "| peak memory |" in text


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_queues_are_measured(tmp_path: Path) -> None:
    """Each kind of queue by each protocol, beside pika's receive and the script people write."""
    jobs = ("scripts", "queues", "streams")
    text = _page(tmp_path, "benchmarks.queue_bench", "--messages", "2000", "--only", *jobs)
    assert "Failed:" not in text
    for kind in ("classic", "quorum", "stream by AMQP", "stream protocol"):
        assert f"| {kind} | penstock consume |" in text
    assert "| classic | the script people write |" in text


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_freshness_is_measured_on_each_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Marked events are published, and seen in the models of PostgreSQL and of the DuckDB file that ``up`` holds."""
    for name, value in {"EVENTS": 1000, "RATE": 50, "SECONDS": 4, "WARM_SECONDS": 2, "MARK_EVERY": 25}.items():
        monkeypatch.setattr(queue_fresh, name, value)
    with PrivateRabbitMQ(eager=True) as broker, postgres_server() as server:
        bench = QueueBench(broker, server, 1000, tmp_path)
        freshness(bench)
    for kind in ("postgres", "duckdb"):
        assert 0 < bench.results.fresh[kind].middle <= bench.results.fresh[kind].late


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_apis_are_measured(tmp_path: Path) -> None:
    """Penstock beside fetching alone, compared round by round."""
    text = _page(tmp_path, "benchmarks.http_bench", "--records", "5000", "--no-peers")
    assert "| penstock load | 5,000 |" in text
    assert "round by round: " in text


def _page(folder: Path, module: str, *arguments: str) -> str:
    """What a benchmark writes."""
    output = folder / "RESULTS.md"
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments, "--output", str(output)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return output.read_text(encoding="utf-8")


@pytest.mark.slow
def test_two_work_trees_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    """Each tree loads by its own code; the comparison tells CPU, wall and memory before, after, and their ratio."""
    trees = [str(ROOT), str(ROOT)]
    assert compare.main([*trees, "--rows", "1000", "--rounds", "1", "--to", "duckdb"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for measure in ("CPU, process and server", "wall", "peak memory"):
        told = next(line for line in lines if line.startswith(f"duckdb    {measure}"))
        assert 0.1 < float(told.split()[-1]) < 10


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_models_of_two_work_trees_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    """The step after 1,000 new events, by each tree's own models."""
    trees = [str(ROOT), str(ROOT)]
    assert compare.main([*trees, "--rows", "1000", "--rounds", "1", "--to", "duckdb", "--step", "deep"]) == 0
    told = capsys.readouterr().out.splitlines()[-4:]
    assert [0.1 < float(line.split()[-1]) < 10 for line in told] == [True] * 4


def test_a_run_is_measured_whole() -> None:
    """Wall time covers the whole process, and peak memory what it held at most."""
    ran = run([sys.executable, "-c", "import time; b = b'x' * 90_000_000; time.sleep(0.3)"], timeout_seconds=30)
    assert ran.seconds > 0.3
    assert ran.peak_bytes > 90e6
    assert 0 < ran.cpu_seconds < ran.seconds


def test_a_child_that_fails_or_lingers_is_said_to() -> None:
    """An exit code, what it printed, and the time limit are in the error."""
    with pytest.raises(ChildFailed, match=r"(?s)exit code 3.*no luck"):
        run([sys.executable, "-c", "print('no luck'); raise SystemExit(3)"], timeout_seconds=30)
    with pytest.raises(ChildFailed, match="not done after"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], timeout_seconds=0.5)


def test_a_worker_answers_until_it_ends() -> None:
    """One answer a request; the end of the worker is an error that has its last words."""
    code = "import sys, json\nfor line in sys.stdin: print(json.dumps({'n': json.loads(line)['n'] + 1}), flush=True)"
    with Worker([sys.executable, "-c", code], timeout_seconds=30) as worker:
        assert worker.ask(n=1) == {"n": 2}
        assert worker.ask(n=2) == {"n": 3}
        with pytest.raises(ChildFailed, match="KeyError"):
            worker.ask(m=1)


def test_ratios_compare_rounds_not_medians() -> None:
    """A machine that slows down in one round slows both: the ratio of that round is what counts."""
    mine, other = Figure("job", "mine", 100, [1.0, 4.0, 1.0]), Figure("job", "other", 100, [2.0, 8.0, 2.0])
    assert mine.faster_than(other) == 2
    assert mine.rows_per_second == 100
    results = Results()
    results.unmeasured("job", "a bar", "it broke")
    assert not results.verdicts[0].met
