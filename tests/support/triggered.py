"""A trigger at work in this process over a copy of the example, and what lands meanwhile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from penstock.land.loop import Stop
from penstock.land.session import Session
from penstock.ports import Receipt
from penstock.project import Project
from penstock.runs.plan import plan_loads
from penstock.up.trigger import Trigger
from tests.support.at_work import at_work
from tests.support.example import EXAMPLE


@contextmanager
def triggered(project: Project) -> Iterator[Trigger]:
    """A trigger at work."""
    stop = Stop()
    trigger = Trigger(project, stop=stop)
    with at_work(trigger, stop, seconds=60):
        yield trigger


def copied(folder: Path, postgres_url: str | None) -> Path:
    """The example in a folder of its own, into a DuckDB or into this database."""
    directory = folder / "project"
    shutil.copytree(EXAMPLE, directory, ignore=shutil.ignore_patterns(".penstock", "*.duckdb*"))
    settings = yaml.safe_load((directory / "penstock.yml").read_text())
    if postgres_url is not None:
        settings["destinations"] = {"local": {"type": "postgres", "url": postgres_url}}
    (directory / "penstock.yml").write_text(json.dumps(settings))
    return directory


def load(project: Project, session: Session, *users: str, **more: object) -> list[Receipt]:
    """Land a file with an event of each user, with ``more`` fields, and what else is new."""
    if users:
        events = [
            {"id": u, "event_type": "User Created", "username": u, "user_email": f"{u}@example.com",
             "user_type": "User", "organization_name": "Initech", "plan_name": "Free",
             "received_at": "2025-05-01T10:00:00", **more}
            for u in users
        ]  # fmt: skip
        path = project.directory / "data" / "user_events" / f"{users[0]}.ndjson"
        path.write_text("".join(json.dumps(e) + "\n" for e in events))
    return [r for step in plan_loads(project) for r in session.load(step).receipts]


def users(session: Session, prefix: str) -> int:
    """How many users there are whose names begin so."""
    ((number,),) = session.destination.query(
        f"select count(*) from dimensional.dim_user where user_id like '{prefix}%' and is_current"
    ).rows
    return int(number)
