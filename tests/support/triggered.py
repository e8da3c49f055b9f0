"""A trigger at work in this process, and what lands meanwhile in a copy of the example."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from penstock.land.loop import Stop
from penstock.land.session import Session
from penstock.ports import Receipt
from penstock.project import Project
from penstock.runs.plan import plan_loads
from penstock.up.trigger import Trigger
from tests.support.at_work import at_work


@contextmanager
def triggered(project: Project) -> Iterator[Trigger]:
    """A trigger at work."""
    stop = Stop()
    trigger = Trigger(project, stop=stop)
    with at_work(trigger, stop, seconds=60):
        yield trigger


def load(project: Project, session: Session, *names: str, **more: object) -> list[Receipt]:
    """Land a file with an event of each user, with ``more`` fields, and what else is new."""
    if names:
        events = [
            {"id": name, "event_type": "User Created", "username": name, "user_email": f"{name}@example.com",
             "user_type": "User", "organization_name": "Initech", "plan_name": "Free",
             "received_at": "2025-05-01T10:00:00", **more}
            for name in names
        ]  # fmt: skip
        path = project.directory / "data" / "user_events" / f"{names[0]}.ndjson"
        path.write_text("".join(json.dumps(e) + "\n" for e in events))
    return [r for step in plan_loads(project) for r in session.load(step).receipts]


def users(session: Session, prefix: str) -> int:
    """How many users there are whose names begin so."""
    ((number,),) = session.destination.query(
        f"select count(*) from dimensional.dim_user where user_id like '{prefix}%' and is_current"
    ).rows
    return int(number)
