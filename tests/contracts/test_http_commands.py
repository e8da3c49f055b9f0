"""The commands over an API: load, explain, doctor, backfill."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from penstock.doctor.examine import examine
from penstock.doctor.forecast import LoadPlan, explain_loads
from penstock.errors import UsageError
from penstock.land.session import Session
from penstock.ports import Window
from penstock.project import Project, load_project
from penstock.project.steps import LoadStep
from penstock.runs.plan import day_window, plan_loads, plan_run
from tests.support.api import Api, Asked, Said, pages_of, said

PROJECT = """
name: api
destinations: { local: { type: duckdb, path: w.duckdb, threads: 1 } }
sources:
  shop:
    type: http
    base_url: %s/v1
    records: data
    pagination: page
    auth: { type: bearer, token: hush-hush }
    endpoints:
      cars: { incremental: { field: at, params: "since={cursor}" } }
      visits: { pagination: none, windows: { params: "from={from}&to={to}" } }
streams:
  cars: { from: shop, event_time: at, identity: [id] }
  visits: { from: shop, event_time: at }
transform: false
"""


def answer(asked: Asked) -> Said:
    """Cars in pages, and visits of days."""
    if asked.headers.get("authorization") != "Bearer hush-hush":
        return Said(status=401)
    if asked.path == "/v1/visits":
        return said({"data": [{"at": asked.query.get("from", "2019-01-01")}]})
    return pages_of([{"id": n, "at": f"2020-12-0{n}T00:00:00Z"} for n in range(1, 6)], 2)(asked)


def explained(project: Project, window: Window | None = None) -> list[LoadPlan]:
    """What a run would do."""
    return explain_loads(project, plan_run(project, window=window).loads, dated=window is not None)


def test_a_project_of_an_api(tmp_path: Path) -> None:
    """It loads, says what it would ask for next, is examined, and shows no secret."""
    with Api(answer) as api:
        (tmp_path / "penstock.yml").write_text(PROJECT % api.url)
        project = load_project(tmp_path)
        cars, visits = explained(project)
        assert f"GET {api.url}/v1/cars by page, from the first page" in cars.how
        with Session(project) as session:
            assert session.load(LoadStep(stream="cars", source="shop")).total("landed") == 5
        cars, visits = explained(project, day_window(date(2020, 12, 3), None, None))
        assert "at in 2020-12-03T00:00:00/2020-12-04T00:00:00" in cars.how
        assert (
            "1 windows from 2020-12-03T00:00:00/2020-12-04T00:00:00, with from=2020-12-03, to=2020-12-04" in visits.how
        )
        cars, visits = explained(project)
        assert "with since=2020-12-04T23:50:00Z, from the first page" in cars.how
        checks = {c.name: c for c in examine(tmp_path, None)}
        assert checks["source shop of cars"].detail == "GET /cars?page=1: 2 records"
        assert all(c.ok for n, c in checks.items() if n.startswith("source"))
        assert "hush" not in str(project.masked())


def test_days(tmp_path: Path) -> None:
    """Dates go to the API where it declares windows, and filter what it answers where it does not."""
    with Api(answer) as api:
        (tmp_path / "penstock.yml").write_text(PROJECT % api.url)
        project = load_project(tmp_path)
        window = day_window(None, date(2020, 12, 2), date(2020, 12, 3))
        with Session(project) as session:
            for step in plan_loads(project, window=window):
                session.load(step)
            found = {
                stream: [r[0] for r in session.destination.query(f"select {column} from raw.{stream} order by 1").rows]
                for stream, column in (("cars", "id"), ("visits", 'cast("at" as varchar)'))
            }
        assert found == {"cars": [2, 3], "visits": ["2020-12-02", "2020-12-03"]}


def test_windows_without_an_event_time(tmp_path: Path) -> None:
    """An endpoint's windows are enough for a date; a stream with neither has none."""
    text = (PROJECT % "http://127.0.0.1:1").replace(", event_time: at", "")
    (tmp_path / "penstock.yml").write_text(text)
    project = load_project(tmp_path)
    window = day_window(date(2020, 12, 2), None, None)
    assert [s.window for s in plan_loads(project, ["visits"], window=window)] == [window]
    with pytest.raises(UsageError, match="no stream declares an event time"):
        plan_loads(project, ["cars"], window=window)
