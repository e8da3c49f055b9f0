"""A watermark and the rows it speaks of are written together or not at all."""

from __future__ import annotations

import pytest

from tests.dbt.stories import START, event, lives
from tests.dbt.warehouse import Warehouse
from tests.support.fixtures import slow_on_postgres


def test_rows_and_watermark_are_one_transaction(warehouse: Warehouse) -> None:
    """When the watermark cannot be written, neither are the rows; the next run takes them in, once."""
    events = lives(seed=3, users=20)
    warehouse.land(events[:30])
    warehouse.dbt("run")
    before = warehouse.content()
    warehouse.land(events[30:])
    warehouse.execute("alter table penstock.watermarks rename to hidden")
    warehouse.execute("create view penstock.watermarks as select distinct * from penstock.hidden")
    statuses = warehouse.dbt("run", fails=True)
    assert statuses["user_event"] == "error"
    assert statuses["user_snapshot"] == "skipped"
    assert warehouse.content() == before
    warehouse.execute("drop view penstock.watermarks")
    warehouse.execute("alter table penstock.hidden rename to watermarks")
    warehouse.dbt("run")
    stepwise = warehouse.content()
    assert stepwise != before
    warehouse.dbt("run", "--full-refresh")
    assert warehouse.content() == stepwise


@slow_on_postgres("warehouse")
def test_a_model_run_alone_does_not_claim_what_its_inputs_have_not_seen(warehouse: Warehouse) -> None:
    """dim_user without user_snapshot stays at the snapshot's watermark, and catches up later."""
    warehouse.land([event("a", "Created", START, username="Ann")])
    warehouse.dbt("run")
    warehouse.land([event("b", "Created", START, username="Bob")])
    warehouse.dbt("run", "-s", "dim_user")
    assert warehouse.rows("select seq from penstock.watermarks where model = 'dimensional.dim_user'") == [(1,)]
    warehouse.dbt("run", "-s", "user_event", "user_snapshot")
    warehouse.dbt("run", "-s", "dim_user")
    assert warehouse.rows("select seq from penstock.watermarks where model = 'dimensional.dim_user'") == [(2,)]
    assert warehouse.rows("select count(*) from dimensional.dim_user") == [(2,)]


@pytest.mark.slow
def test_a_lost_watermark_takes_everything_in_again_without_doubling(warehouse: Warehouse) -> None:
    """Counts are replaced, not added to, when a model starts from nothing over a table that is there."""
    warehouse.land(lives(seed=4, users=20))
    warehouse.dbt("run")
    before = warehouse.content()
    warehouse.execute("delete from penstock.watermarks")
    warehouse.dbt("run")
    assert warehouse.content() == before
