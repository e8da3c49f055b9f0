"""The benchmark runs, small, from its command line to its results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import compare
from benchmarks.figures import Figure, Results
from benchmarks.process import ROOT, ChildFailed, Worker, run


def test_a_small_run_measures_and_tells_of_each_bar(tmp_path: Path) -> None:
    """Loads to DuckDB, again, and ten rows: each bar has a figure and a verdict, and the method is there."""
    output = tmp_path / "RESULTS.md"
    command = [sys.executable, "-m", "benchmarks", "--rows", "2000", "--runs", "1", "--no-peers"]
    done = subprocess.run(
        [*command, "--only", "duckdb", "ten", "--output", str(output)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = output.read_text(encoding="utf-8")
    bars = text.split("## All figures")[0]
    for job in ("to DuckDB, deduplicated", "the same file again", "a 10-row file"):
        assert f"| {job}" in bars
    assert "read_json + distinct" in text
    assert "failed" not in text
    assert "cores" in text.split("## Machine and versions")[1]


def test_two_work_trees_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    """Each tree loads by its own code; the comparison tells CPU, wall and memory before, after, and their ratio."""
    trees = [str(ROOT), str(ROOT)]
    assert compare.main([*trees, "--rows", "1000", "--rounds", "1", "--to", "duckdb"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for measure in ("CPU, process and server", "wall", "peak memory"):
        told = next(line for line in lines if line.startswith(f"duckdb    {measure}"))
        assert 0.1 < float(told.split()[-1]) < 10


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
