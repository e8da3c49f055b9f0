"""What an event does not say is counted under a label, together with events that say just that text."""

from __future__ import annotations

from tests.dbt.stories import START, Record
from tests.dbt.warehouse import Warehouse

LABEL = "(unknown)"
REPORTS = ("user_events_daily", "events_by_date", "events_by_organization", "events_by_user_type")


def event(user: str, *, organization: str | None, kind: str | None, minute: int) -> Record:
    """An event that may lack its organisation and its type."""
    at = START.replace(minute=minute)
    return {"id": user, "event_type": kind, "organization_name": organization, "user_type": kind, "received_at": at}


SILENT = [
    event("a", organization="Acme", kind=None, minute=0),
    event("b", organization=None, kind="User Updated", minute=1),
    event("c", organization=None, kind=None, minute=2),
]
"""Events that do not say what happened, or to whose user."""
LITERAL = [
    event("a", organization="Acme", kind=LABEL, minute=3),
    event("b", organization=LABEL, kind="User Updated", minute=4),
    event("c", organization=LABEL, kind=None, minute=5),
    event("c", organization=None, kind=LABEL, minute=6),
    event("d", organization=LABEL, kind=LABEL, minute=7),
]
"""Events of the same users, and of one more, that say the label itself."""


def test_a_missing_value_and_the_label_as_text_are_one_group(warehouse: Warehouse) -> None:
    """A report has one row for both, and a user of both is one user; by steps as by a full refresh."""
    warehouse.land(SILENT)
    warehouse.dbt("run")
    warehouse.land(LITERAL)
    warehouse.dbt("run")
    day = START.date()

    def rows(report: str) -> list[tuple[object, ...]]:
        return sorted(warehouse.rows(f"select * from reports.{report}"))

    by_steps = {report: rows(report) for report in REPORTS}
    assert by_steps == {
        "user_events_daily": [
            (day, LABEL, LABEL, 4, 2),
            (day, LABEL, "User Updated", 2, 1),
            (day, "Acme", LABEL, 2, 1),
        ],
        "events_by_date": [(day, 8, 4)],
        "events_by_organization": [(day, LABEL, 6, 3), (day, "Acme", 2, 1)],
        "events_by_user_type": [(day, LABEL, 6, 3), (day, "User Updated", 2, 1)],
    }
    warehouse.dbt("run", "--full-refresh")
    assert {report: rows(report) for report in REPORTS} == by_steps
    warehouse.dbt("test", "--select", "reports")
