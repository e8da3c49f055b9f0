"""The README's commands run, and so does the built wheel in an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import penstock
from tests.support.documents import ROOT, Reader, blocks, commands


@pytest.mark.parametrize("forked", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["forked", "started"])
def test_readme_commands(tmp_path: Path, forked: bool) -> None:
    """One after the other in an empty folder, as a new user would."""
    found = [c.text for b in blocks(ROOT / "README.md") if b.language == "bash" for c in commands(b)]
    assert any(c.startswith("penstock init") for c in found)
    home = tmp_path / "home"
    home.mkdir()
    with Reader(home, forked=forked) as reader:
        reader.follow(ROOT / "README.md")
    assert (home / "shop" / "warehouse.duckdb").exists()


@pytest.mark.slow
def test_built_wheel(tmp_path: Path) -> None:
    """The wheel alone, installed as anyone does, with the newest of what it asks for: init, run, and again nothing."""
    given = os.environ.get("PENSTOCK_TEST_WHEEL")
    wheel = Path(given) if given else _build(tmp_path)
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    python = tmp_path / "venv" / "bin" / "python"
    _run(uv, "venv", "--quiet", "--seed", "--python", sys.executable, str(tmp_path / "venv"))
    _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel))
    command = str(python.parent / "penstock")
    _run(command, "init", "shop", "--template", "user_events", cwd=tmp_path)
    assert "$defs" in json.loads((tmp_path / "shop" / ".penstock" / "schema.json").read_text())
    assert _run(command, "schema", "--markdown").startswith("# Configuration")
    first = _run(command, "run", cwd=tmp_path / "shop")
    assert "1 duplicate" in first and "models built" in first
    assert "0 rows rebuilt" in _run(command, "run", cwd=tmp_path / "shop")
    assert "organization" in _run(
        command, "query", "select * from reports.user_events_daily order by 1", cwd=tmp_path / "shop"
    )
    _check_types(tmp_path, python)


def _check_types(folder: Path, python: Path) -> None:
    """Who imports the installed package gets its types: every public name has one, and a wrong call is an error."""
    names = sorted(penstock.__all__)
    reveal = "\n".join(f"reveal_type(penstock.{name})" for name in names)
    (folder / "use.py").write_text(f"import penstock\n\n{reveal}\npenstock.run(1)\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python), "use.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=280)
    *revealed, wrong, _ = done.stdout.splitlines()
    assert len([line for line in revealed if "Revealed type is" in line]) == len(names), done.stdout
    assert not any('Revealed type is "Any"' in line for line in revealed), done.stdout
    assert wrong.startswith(f"use.py:{3 + len(names)}: error: ") and '"run"' in wrong, done.stdout


def _build(folder: Path) -> Path:
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(ROOT))
    return next((folder / "dist").glob("*.whl"))


def _run(*command: str, cwd: Path | None = None) -> str:
    environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=280, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return done.stdout
