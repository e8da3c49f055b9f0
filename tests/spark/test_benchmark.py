"""The benchmark of Iceberg tables and Spark runs, small, from its command line to its results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import provenance
from benchmarks.process import ROOT
from benchmarks.spark_models import MINE, PLAIN, job
from benchmarks.spark_report import DAYS, LANDING, LOOK_UPS, PAGE, STEPS


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_of_it_is_measured(tmp_path: Path) -> None:
    """Each part has its table, each bar a verdict, and the page names the code. The model's rows are those of plain
    Spark, or it fails."""
    output = tmp_path / PAGE
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.spark_bench", "--quick", "--output", str(output)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = output.read_text(encoding="utf-8")
    assert "Not measured" not in text
    for heading in (LANDING, LOOK_UPS, STEPS, DAYS):
        assert f"\n## {heading}\n" in text
    for cores in (1, 2):
        for contender in (MINE, PLAIN):
            assert f"\n| {job(cores)} | {contender}, 0.002 M events | 1 |" in text
    named = provenance.read(text)
    assert named is not None
    assert named.digest == provenance.digest(ROOT, provenance.HOT_PATHS[PAGE])
