"""The example of user events."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "user_events"
LAYERS = ("raw", "staging", "historical", "snapshots", "dimensional", "crm", "reports")


def copied(folder: Path, postgres_url: str | None = None) -> Path:
    """The example in a folder of its own, into a DuckDB or into this database."""
    directory = folder / "project"
    shutil.copytree(EXAMPLE, directory, ignore=shutil.ignore_patterns(".penstock", "*.duckdb*"))
    if postgres_url is not None:
        settings = yaml.safe_load((directory / "penstock.yml").read_text())
        settings["destinations"] = {"local": {"type": "postgres", "url": postgres_url}}
        (directory / "penstock.yml").write_text(json.dumps(settings))
    return directory


def without_tests(folder: Path) -> None:
    """Leave out what dbt would test of a copy of the example: to parse and to run that takes as long as the models."""
    shutil.rmtree(folder / "tests")
    for described in set((folder / "models").rglob("*.yml")) - {folder / "models" / "sources.yml"}:
        described.unlink()
