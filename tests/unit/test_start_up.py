"""What the process of a small load takes up, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = """\
name: shop
destinations: {here: {type: duckdb, path: shop.duckdb}}
sources: {files: {type: files, path: orders.ndjson}}
streams: {orders: {from: files}}
"""
LINEAGE = "lineage: {transport: file, path: lineage.ndjson}\n"
OTHER_SOURCES = ("penstock.project.http", "penstock.project.http_client", "penstock.project.rabbitmq_settings", "pika")
OTHER_COMMANDS = ("penstock.cli.running", "penstock.cli.reporting", "penstock.cli.privacy", "penstock.cli.quarantine")
HEAVY = ("rich", "dbt", "psycopg", "httpx2", "starlette", "uvicorn", "jinja2", "structlog", "watchfiles", "obstore")
FORMATS = ("pyarrow.parquet", "pyarrow.csv", "pyarrow.dataset")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project with one small file, and no dbt models."""
    (tmp_path / "penstock.yml").write_text(PROJECT)
    (tmp_path / "orders.ndjson").write_text("".join(f'{{"id": {i}}}\n' for i in range(10)))
    return tmp_path


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, since this one has loaded much."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def loaded_by(folder: Path, *words: str) -> set[str]:
    """The modules that a command loads."""
    code = (
        "import sys\n"
        f"sys.argv = ['penstock', *{words!r}]\n"
        "from penstock.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print(*sys.modules, file=open('modules', 'w'))\n"
    )
    done = python(folder, "-c", code)
    assert done.returncode == 0, done.stderr
    return set((folder / "modules").read_text().split())


def test_a_small_load_takes_up_what_it_needs(shop: Path) -> None:
    """Neither other commands, nor the settings of other kinds of source, nor libraries that only others use."""
    loaded = loaded_by(shop, "load", "--quiet")
    assert "penstock.sources.files.source" in loaded
    assert loaded & {*OTHER_SOURCES, *OTHER_COMMANDS, *HEAVY, *FORMATS} == set()


def test_help_takes_up_no_engine(shop: Path) -> None:
    """The help has all commands, and needs neither a warehouse nor a project."""
    loaded = loaded_by(shop, "--help")
    assert loaded.issuperset(OTHER_COMMANDS)
    assert loaded & {"pyarrow", "duckdb", "numpy", "penstock.project.settings"} == set()


def test_a_process_ends_as_its_command_did(shop: Path) -> None:
    """With its exit code, all of its output, and what waits for the end of the process done."""
    with (shop / "penstock.yml").open("a") as file:
        file.write(LINEAGE)
    load = python(shop, "-m", "penstock", "load")
    assert (load.returncode, load.stderr) == (0, "")
    events = [json.loads(line) for line in (shop / "lineage.ndjson").read_text().splitlines()]
    assert {event["eventType"] for event in events} == {"START", "COMPLETE"}
    assert not (shop / "shop.duckdb.wal").exists()

    many = python(shop, "-m", "penstock", "query", "select unnest(range(200000)) as n", "--csv")
    assert (many.returncode, many.stdout.count("\n")) == (0, 200_001)

    assert python(shop, "-m", "penstock", "load", "nothing").returncode == 2
    assert python(shop, "-m", "penstock", "load", "--nothing").returncode == 2
    (shop / "penstock.yml").write_text(PROJECT.replace("orders.ndjson", "gone"))
    assert python(shop, "-m", "penstock", "load").returncode == 4
