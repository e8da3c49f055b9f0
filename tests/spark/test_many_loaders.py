"""Several processes land into one Iceberg table at once: each record once, and no load is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.destinations.spark.destination import SparkDestination
from penstock.project import load_project
from tests.support.warehouse import ledger, table

PROJECT = """
name: shared
target: lake
destinations:
  lake: {{ type: spark, ledger: books, warehouse: {lake} }}
  books: {{ type: postgres, url: "{url}" }}
sources: {{ files: {{ type: files, path: "*.ndjson" }} }}
streams:
  s: {{ from: files, {rules} }}
load: {{ batch_bytes: 8KB, commit_bytes: 16KB }}
"""


@pytest.mark.parametrize("rules", ["identity: content", "identity: [n], disposition: merge, version: v"])
def test_each_record_once(prepared_postgres_url: str, tmp_path: Path, rules: str) -> None:
    """Three processes, each with records that the others have too, and with columns that come on the way; two of them
    are killed in the middle, and start again."""
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for number, folder in enumerate(folders):
        folder.mkdir()
        text = PROJECT.format(url=prepared_postgres_url, lake=tmp_path / "lake", rules=rules)
        (folder / "penstock.yml").write_text(text)
        records = [{"n": n, "v": n % 7, "at": "x" * 40} for n in range(number * 150, number * 150 + 450)]
        for record in records[::200]:
            record[f"new_{record['n']}"] = 1
        # a file of its own name each: a name says how far it was read
        (folder / f"{folder.name}.ndjson").write_text("".join(json.dumps(r) + "\n" for r in records))
    command = [sys.executable, "-m", "penstock", "load", "--quiet", "--project-dir"]
    faults = ["", "files_written:kill:2", "after_commit:kill:2"]

    def start(folder: Path, fault: str) -> subprocess.Popen[str]:
        environ = {**os.environ, "PENSTOCK_FAULT": fault}
        return subprocess.Popen([*command, str(folder)], stderr=subprocess.PIPE, text=True, env=environ)

    def end(loader: subprocess.Popen[str], code: int) -> None:
        _, error = loader.communicate(timeout=280)
        assert loader.returncode == code, error

    unharmed, *killed = [start(folder, fault) for folder, fault in zip(folders, faults, strict=True)]
    for loader in killed:
        end(loader, -signal.SIGKILL)
    for loader in (unharmed, *[start(folder, "") for folder in folders[1:]]):
        end(loader, 0)
    settings: Any = load_project(folders[0]).destination
    lake = SparkDestination(settings)
    try:
        rows = table(lake, "s")
        assert sorted({row["n"] for row in rows}) == list(range(750))
        books = ledger(lake, "s")
        assert sum(read for read, *_ in books) == 1350
        assert all(read == landed + duplicates + rejected for read, landed, duplicates, rejected in books)
        if "merge" in rules:
            assert len(rows) == 750
        else:
            # a record with a column more is another one
            assert len(rows) == len({(row["n"], *(k for k, v in row.items() if v is not None)) for row in rows})
            assert sum(landed for _, landed, *_ in books) == len(rows)
        columns = [c.name for c in lake.ledger.schema("s").columns]
        assert len(columns) == len(set(columns)) == 3 + len([n for n in columns if n.startswith("new_")])
        assert len([n for n in columns if n.startswith("new_")]) == 9
    finally:
        lake.close()
