"""The example fed by queue, as its README says."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import commands

EXAMPLE = Path(__file__).parents[2] / "examples" / "user_events"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example, with what its README adds to the project file."""
    folder = tmp_path / "user_events"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".penstock", "warehouse.duckdb*"))
    section = (EXAMPLE / "README.md").read_text().split("\n## By queue\n")[1]
    added = yaml.safe_load(textwrap.dedent(section[section.index("    sources:") : section.index("\nThen put")]))
    said: dict[str, Any] = yaml.safe_load((folder / "penstock.yml").read_text())
    said["sources"] |= added["sources"]
    said["streams"]["user_events"] |= added["streams"]["user_events"]
    (folder / "penstock.yml").write_text(yaml.safe_dump(said))
    return folder


def _penstock(folder: Path, url: str, *arguments: str) -> Any:
    done = commands.penstock(folder, *arguments, "--json", environ={"RABBITMQ_URL": url}, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_by_queue(project: Path, rabbitmq_url: str) -> None:
    """Published, consumed and watched, the events land once: 57 of the 59."""
    assert _penstock(project, rabbitmq_url, "publish", "user_events", "data/user_events")["confirmed"] == 59
    (consumed,) = _penstock(project, rabbitmq_url, "consume", "user_events", "--until-empty")
    assert [consumed[n] for n in ("read", "landed", "duplicates", "quarantined")] == [59, 57, 1, 1]
    watched = _penstock(project, rabbitmq_url, "watch", "data/user_events", "--once")
    assert [watched[n] for n in ("read", "landed", "duplicates", "quarantined")] == [59, 0, 59, 0]
    assert _penstock(project, rabbitmq_url, "watch", "data/user_events", "--publish", "--once")["published"] == 59
    (consumed,) = _penstock(project, rabbitmq_url, "consume", "--until-empty")
    assert [consumed[n] for n in ("read", "landed", "duplicates", "quarantined")] == [59, 0, 59, 0]
