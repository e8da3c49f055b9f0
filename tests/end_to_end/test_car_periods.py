"""The example of car subscriptions, where a subscription gets another car."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.car_project import CarProject

PERIODS = """
    select subscription_id, starts_on::text, ends_on::text, brand, city_at_delivery
    from core.subscription_periods order by subscription_id, starts_on
"""
SUBSCRIPTIONS = """
    select subscription_id, starts_on::text, ends_on::text, term_months, customer_type_at_signing
    from core.subscriptions order by 1
"""


def _lines(*records: dict[str, Any]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def _car(number: int, brand: str) -> dict[str, Any]:
    return {"id": number, "brand": brand, "registration_date": "2024-01-02", "updated": "2024-01-02T08:00:00Z"}


def _subscription(number: int, car: int, start: str, said: str) -> dict[str, Any]:
    return {
        "id": number,
        "customer_id": 1,
        "car_id": car,
        "term_months": "6",
        "start_date": start,
        "monthly_rate": "300.00",
        "created": f"{said}T09:00:00Z",
    }


@pytest.mark.slow
def test_a_car_that_takes_anothers_place_begins_a_period(tmp_path: Path) -> None:
    """The subscription stays one, each car is delivered once, and no day is counted for both."""
    customer = {
        "id": 1,
        "type": "b2b",
        "company_name": "Example",
        "name": "A. Person",
        "email": "a@example.org",
        "phone": "+49 30 1",
        "city": "Bremen",
        "created": "2024-01-01T08:00:00Z",
        "updated": "2024-01-01T08:00:00Z",
    }
    first = [_subscription(10, 1, "2024-02-05", "2024-02-01"), _subscription(11, 3, "2024-02-05", "2024-02-02")]
    lines = {
        "cars": _lines(_car(1, "Alba"), _car(2, "Borea"), _car(3, "Alba")),
        "customers": _lines(customer),
        "subscriptions": _lines(*first),
    }
    project = CarProject(tmp_path / "project")
    project.put(lines)
    project.run()
    swapped = _subscription(10, 2, "2024-04-08", "2024-04-01")
    project.put({**lines, "subscriptions": _lines(*first, swapped)})
    _, built = project.run()
    assert {node.status for node in built.nodes} <= {"success", "pass"}
    periods = [
        (10, "2024-02-05", "2024-04-08", "Alba", "Bremen"),
        (10, "2024-04-08", "2024-10-08", "Borea", "Bremen"),
        (11, "2024-02-05", "2024-08-05", "Alba", "Bremen"),
    ]
    subscriptions = [(10, "2024-02-05", "2024-10-08", 6, "b2b"), (11, "2024-02-05", "2024-08-05", 6, "b2b")]
    assert project.rows(PERIODS) == periods
    assert project.rows(SUBSCRIPTIONS) == subscriptions
    assert project.rows("select subscriptions, customers from marts.customer_types_by_term") == [(2, 1)]
    delivered = "select week_start::text, deliveries from marts.weekly_deliveries where deliveries > 0 order by 1"
    assert project.rows(delivered) == [("2024-02-05", 2), ("2024-04-08", 1)]
    active = "select brand, min(month_start)::text, count(*) from marts.active_customer_share group by 1 order by 1"
    stepwise = project.rows(active)
    project.run(full_refresh=True)
    assert (project.rows(PERIODS), project.rows(SUBSCRIPTIONS)) == (periods, subscriptions)
    assert project.rows(active) == stepwise
