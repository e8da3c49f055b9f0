"""The published facts about the real sample, and what the example makes of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest

from tests.dbt.stories import START, event
from tests.dbt.warehouse import ROOT, Warehouse

SAMPLE = ROOT.parent / "shared" / "data" / "challenge"


def records(name: str) -> list[dict[str, object]]:
    """The records of one file of the sample, which is read where it lies."""
    path = Path(os.environ.get("PENSTOCK_SAMPLE", SAMPLE)) / name
    if not path.exists():
        pytest.fail(f"{path} is missing: set PENSTOCK_SAMPLE to the folder that holds {name}")
    found: list[dict[str, object]] = json.loads(path.read_text())
    return found


@pytest.mark.slow
def test_the_real_sample_gives_the_published_facts(warehouse: Warehouse) -> None:
    """28 versions of 21 users, 14 current; Zeus closed, Sully twice; users at the end of each day."""
    warehouse.land(records("events_sample.json"), records("orgs_sample.json"))
    statuses = warehouse.dbt("build")

    assert set(statuses.values()) <= {"success", "pass", "no-op"}
    assert warehouse.rows("select count(*) from raw.user_events") == [(35,)]
    assert warehouse.rows(
        "select count(*), count(distinct user_id), count(*) filter (where is_current) from dimensional.dim_user"
    ) == [(28, 21, 14)]
    assert warehouse.rows("select event_date, users_at_end from dimensional.fct_user_daily order by event_date") == [
        (date(2020, 12, 5 + day), users) for day, users in enumerate([2, 5, 11, 18, 17, 16, 14])
    ]
    zeus = warehouse.rows("select valid_to from snapshots.user_snapshot where username = 'Zeus' order by valid_from")
    assert len(zeus) == 3
    assert zeus[-1] == (datetime(2020, 12, 10, 20, 3, 16, 759617),)
    assert warehouse.rows("select count(*) from crm.users_dim where username = 'Sully'") == [(2,)]
    assert warehouse.rows("select count(*) from dimensional.dim_user where length(user_id) = 33") == [(1,)]
    assert warehouse.rows("select count(*) from dimensional.dim_organization") == [(21,)]
    assert warehouse.rows("select sum(total_events) from reports.events_by_date") == [(35,)]


def test_the_snapshot_has_exactly_its_columns(warehouse: Warehouse) -> None:
    """The columns of the history are those asked for, in that order."""
    warehouse.land(records("events_sample.json"))
    warehouse.dbt("run", "-s", "+user_snapshot")
    found = warehouse.rows(
        "select column_name from information_schema.columns"
        " where table_schema = 'snapshots' and table_name = 'user_snapshot' order by ordinal_position"
    )
    assert [name for (name,) in found] == (
        [
            "durable_user_key",
            "user_id",
            "username",
            "user_email",
            "user_type",
            "organization_name",
            "plan_name",
            "valid_from",
            "valid_to",
            "is_current",
            "opened_by",
            "closed_by",
        ]
    )


def test_indexes_of_what_grows_with_the_events_grow_at_one_end(open_warehouse: Callable[[str, str], Warehouse]) -> None:
    """By the time first, but where a step looks for a user's rows, by sixteen bytes, or an organisation's: an entry
    without an order changes a page of its own, which PostgreSQL writes to its log whole."""
    warehouse = open_warehouse("postgres", "example")
    warehouse.land([event("a", "Created", START)])
    warehouse.dbt("run")
    indexes = warehouse.indexes("historical", "snapshots", "dimensional", "crm", "reports")
    unordered = {
        table: [columns for columns in each if not columns.startswith(("received_at", "valid_from", "event_date"))]
        for table, each in indexes.items()
        if table not in ("dim_date", "dim_organization", "organization_by_name")
    }
    assert {table: each for table, each in unordered.items() if each} == {
        "user_event": ["durable_user_key, received_at"],
        "user_snapshot": ["durable_user_key, valid_from"],
        "dim_user": ["organization_name"],
    }
