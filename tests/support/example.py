"""The example of user events."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "user_events"
LAYERS = ("raw", "staging", "historical", "snapshots", "dimensional", "crm", "reports")


def without_tests(folder: Path) -> None:
    """Leave out what dbt would test of a copy of the example: to parse and to run that takes as long as the models."""
    shutil.rmtree(folder / "tests")
    for described in set((folder / "models").rglob("*.yml")) - {folder / "models" / "sources.yml"}:
        described.unlink()
