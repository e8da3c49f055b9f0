"""Penstock projects of the benchmark's own, and the command lines that load them."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.process import ROOT
from benchmarks.shapes import USER_EVENTS, Shape
from benchmarks.warehouses import Warehouse
from penstock.project import RabbitMQ

if TYPE_CHECKING:
    from benchmarks.lakes import Lake

EXAMPLE = ROOT / "examples" / "user_events"
_NOT_MODELS = ("data", "warehouse.duckdb*", ".penstock", "target", "logs", "dbt_packages", ".env", "penstock.yml")

_ORGANIZATIONS = """\
  organizations:
    from: organization_files
    identity: [organization_key]
    disposition: merge
    version: created_at
    columns:
      organization_key: text
      organization_name: text
      created_at: timestamp
"""


def write_project(
    folder: Path,
    warehouse: Warehouse | Lake,
    files: Sequence[Path],
    *,
    shape: Shape = USER_EVENTS,
    organizations: Path | None = None,
    example: Path = EXAMPLE,
) -> Path:
    """A project that loads ``files``; with organisations, it has the example's models too. Returns its folder."""
    if organizations is not None:
        shutil.copytree(example, folder, ignore=shutil.ignore_patterns(*_NOT_MODELS), dirs_exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "name: bench",
        "target: here",
        f"destinations: {{here: {warehouse.settings}}}",
        "sources:",
        f"  event_files: {{type: files, path: [{', '.join(map(str, files))}]}}",
    ]
    if organizations is not None:
        lines.append(f"  organization_files: {{type: files, path: {organizations}}}")
    streams = shape.settings("event_files") + (_ORGANIZATIONS if organizations is not None else "")
    text = "\n".join(lines) + "\nstreams:\n" + streams
    (folder / "penstock.yml").write_text(text, encoding="utf-8")
    return folder


def write_queue_project(folder: Path, warehouse: Warehouse, settings: RabbitMQ) -> Path:
    """A project that takes events from a queue. Returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    said = settings.model_dump(mode="json", exclude_defaults=True, exclude={"password"})
    said["password"] = settings.password.get_secret_value()
    text = (
        f"name: bench\ntarget: here\ndestinations: {{here: {warehouse.settings}}}\n"
        f"sources:\n  event_files: {json.dumps(said)}\nstreams:\n{USER_EVENTS.settings('event_files')}"
    )
    (folder / "penstock.yml").write_text(text, encoding="utf-8")
    return folder


def python_of(tree: Path) -> str:
    """The Python of a work tree's own environment, where it has one; else this one."""
    own = tree / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def load_command(folder: Path, *more: str) -> list[str]:
    """A whole ``penstock load``."""
    return [sys.executable, "-m", "penstock", "load", "--project-dir", str(folder), "--quiet", *more]


def worker_command(folder: Path, python: str = sys.executable) -> list[str]:
    """A project at work in one process; see :mod:`benchmarks.worker`."""
    return [python, "-m", "benchmarks.worker", str(folder)]
