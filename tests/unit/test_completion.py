"""Completion in the shell: names of the project nearby, quickly and without a word about what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from penstock.cli.app import app

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "car_subscriptions"


def offered(line: str) -> list[str]:
    """What bash is offered for the last word of a line."""
    words = line.split(" ")
    environ = {"_PENSTOCK_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done: Any = CliRunner().invoke(app, [], env=environ, prog_name="penstock")
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return sorted(done.stdout.split())


def test_names_of_the_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Streams, destinations, questions and layers are those of the project at hand, or of the one that is named; a
    stream on the line is not offered again."""
    monkeypatch.chdir(EXAMPLE / "models")
    assert offered("penstock load ") == ["cars", "customers", "subscriptions"]
    assert offered("penstock run cars c") == ["customers"]
    assert offered("penstock status --target w") == ["warehouse"]
    assert offered("penstock ask fleet") == ["fleet_by_day", "fleet_now"]
    assert offered("penstock transform --layer ") == ["core", "marts", "staging"]
    assert offered("penstock quarantine list --stream s") == ["subscriptions"]
    monkeypatch.chdir(tmp_path)
    assert offered(f"penstock load --project-dir {EXAMPLE} cu") == ["customers"]
    assert offered("penstock load ") == []
    (tmp_path / "penstock.yml").write_text("streams: [")
    assert offered("penstock load ") == []


def test_names_that_come_with_penstock() -> None:
    """Templates and samples."""
    assert offered("penstock init new --template ra") == ["random_users"]
    assert offered("penstock serve-sample c") == ["cars"]


def test_nothing_heavy_is_loaded() -> None:
    """What takes long to import is not needed."""
    code = (
        "import sys, typer; from pathlib import Path; from penstock.cli import completion; import penstock.cli.app;"
        "found = completion._project(sys.argv[1]); list(completion._group(found, 'streams'));"
        "completion.templates(''); completion.samples('');"
        "print([m for m in ('pydantic', 'duckdb', 'pyarrow', 'numpy', 'dbt', 'starlette') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(EXAMPLE)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
