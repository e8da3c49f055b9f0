"""Random changes taken in step by step, by prepared statements alone, give what a full refresh by dbt gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.land.session import Session
from penstock.project import load_project
from penstock.runs.plan import plan_loads
from penstock.transform.dbt import Dbt
from penstock.transform.perform import Transformer
from tests.dbt.stories import ORGANIZATIONS, START, event
from tests.dbt.warehouse import TABLES
from tests.support.example import copied
from tests.support.examples import examples

_files = count()
events = st.builds(
    lambda user, kind, hours, name, organization: event(
        f"u{user}", kind, START + timedelta(hours=8 * hours), username=name, user_type="User", plan_name="Small",
        user_email="a@example.com", organization_name=organization,
    ),
    st.integers(0, 5),
    st.sampled_from(["Created", "Updated", "Deleted"]),
    st.integers(0, 12),
    st.sampled_from(["Ann", "Bob", "", None]),
    st.sampled_from(ORGANIZATIONS),
)  # fmt: skip
organizations = st.builds(
    lambda key, name, day: {
        "organization_key": str(key), "organization_name": name, "created_at": START + timedelta(days=day)
    },
    st.integers(1, 3),
    st.sampled_from(["Acme", "Globex", "Initech"]),
    st.integers(0, 9),
)  # fmt: skip
loads = st.tuples(st.lists(events, max_size=6), st.lists(organizations, max_size=1))


class Asked:
    """The project at work, and what dbt has been asked for."""

    def __init__(self, session: Session, patched: pytest.MonkeyPatch) -> None:
        self.session = session
        self.transformer = Transformer(session, following=True)
        self.commands: list[str] = []
        invoke = Dbt._invoke

        def noted(dbt: Dbt, arguments: list[str], *more: Any, **named: Any) -> Any:
            self.commands += arguments
            return invoke(dbt, arguments, *more, **named)

        patched.setattr(Dbt, "_invoke", noted)

    def land(self, told: list[dict[str, Any]], of: list[dict[str, Any]]) -> None:
        """Land records of both streams."""
        for folder, records in (("user_events", told), ("organizations", of)):
            path = self.session.project.directory / "data" / folder / f"random{next(_files)}.ndjson"
            path.write_text("".join(json.dumps(record, default=str) + "\n" for record in records))
        for step in plan_loads(self.session.project):
            self.session.load(step)

    def content(self) -> dict[str, list[tuple[str, ...]]]:
        """Every row of every model."""
        rows = {table: self.session.destination.query(f"select * from {table}").rows for table in TABLES}
        return {table: sorted(tuple(map(str, row)) for row in each) for table, each in rows.items()}


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.slow)])
def asked(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    """The example, with what lies in its folder landed and built."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    with Session(load_project(copied(tmp_path, url))) as session:
        work = Asked(session, monkeypatch)
        work.land([], [])
        work.transformer.run()
        yield work
        work.transformer.close()


def test_step_by_step_is_full(asked: Asked) -> None:
    """Late, tied, repeated and deleting events and renamed organisations, over several loads and steps."""

    @settings(
        max_examples=examples(6, least=2),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(st.lists(st.lists(loads, min_size=1, max_size=3), min_size=1, max_size=4))
    def changes(steps: list[list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]]) -> None:
        asked.commands.clear()
        for step in steps:
            for told, of in step:
                asked.land(told, of)
            asked.transformer.run()
        assert not asked.commands
        stepwise = asked.content()
        asked.transformer.run(full_refresh=True, exclude=["resource_type:test", "resource_type:unit_test"])
        assert stepwise == asked.content()

    changes()
