"""What models do not wait for: dbt's reading of the project, and a rest after an outage that is over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from penstock.land.session import Session
from penstock.project import load_project
from penstock.runs.plan import plan_loads
from penstock.testing.proxy import Proxy
from penstock.transform.dbt import Dbt
from penstock.transform.perform import Transformer
from penstock.up import trigger as trigger_module
from tests.support.fixtures import EMBEDDED
from tests.support.modelled import a_modelled_project
from tests.support.queues import until
from tests.support.scheduled import drop
from tests.support.triggered import triggered


def test_a_warehouse_that_comes_back(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that failed because the warehouse was away comes as soon as that is back, however long the rest of a
    build that fails by itself; meanwhile it is not tried again and again, and the error has its time."""
    monkeypatch.setattr(trigger_module, "FIRST_BACKOFF_SECONDS", 3_600.0)
    monkeypatch.setattr(trigger_module, "LAST_BACKOFF_SECONDS", 3_600.0)
    monkeypatch.setattr(trigger_module, "NEWS_SHARE", 1.0)
    monkeypatch.setattr(trigger_module, "_LOOK_SECONDS", 0.05)
    host, _, rest = postgres_url.partition("@")[2].partition("/")[0].rpartition(":")
    with Proxy(host, int(rest)) as proxy:
        straight = load_project(a_modelled_project(tmp_path, {"type": "postgres", "url": postgres_url}))
        project = load_project(a_modelled_project(tmp_path, {"type": "postgres", "url": proxy.url_of(postgres_url)}))
        with Session(straight) as session, triggered(project) as trigger:
            session.load(plan_loads(straight)[0])
            until(lambda: trigger.builds == 1, lambda: trigger.last_error)
            proxy.refuse()
            proxy.reset()
            drop(project.directory, "second")
            session.load(plan_loads(straight)[0])
            until(lambda: trigger.failures > 0, lambda: "no failure")
            assert trigger.last_error_at is not None
            until(lambda: trigger._away, lambda: trigger.last_error)
            failures = trigger.failures
            proxy.accept()
            until(lambda: trigger.builds == 2, lambda: trigger.last_error)
            assert trigger.failures == failures and trigger.last_error_at is None
            rows = session.destination.query("select name from reports.by_name order by 1").rows
            assert rows == [("first",), ("second",)]


def test_dbt_is_not_waited_for_by_the_first_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that starts after models were built has their steps ready: not even dbt's reading is waited for."""
    project = load_project(a_modelled_project(tmp_path, EMBEDDED))
    called: list[str] = []
    invoke = Dbt._invoke

    def invoked(self: Dbt, arguments: Sequence[str], *rest: Any) -> Any:
        called.append(next(word for word in arguments if not word.startswith("-")))
        return invoke(self, arguments, *rest)

    with Session(project) as session:
        session.load(plan_loads(project)[0])
        Transformer(session).run()
        session.release()
        monkeypatch.setattr(Dbt, "_invoke", invoked)
        with triggered(project) as trigger:
            until(lambda: trigger.succeeded_at is not None, lambda: trigger.last_error)
            drop(project.directory, "second")
            for receipt in session.load(plan_loads(project)[0]).receipts:
                trigger.landed(receipt)
            until(lambda: trigger.builds == 1, lambda: trigger.last_error)
            assert not called
