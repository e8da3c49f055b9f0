"""What is told of builds that follow loads all the time, and how datasets are named."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from openlineage.client.serde import Serde

from penstock.errors import ProjectError
from penstock.lineage.emitter import Emitter
from penstock.lineage.facts import Event as Facts
from penstock.lineage.facts import Run
from penstock.lineage.naming import inputs, table
from penstock.lineage.telling import BuiltNode, Telling, _uuid7
from penstock.logs import captured
from penstock.project import Lineage, Project, load_project
from penstock.runs.plan import plan_loads
from penstock.sources.files.matching import base_of
from tests.support.lineage import Event, judge, named

AT = datetime(2026, 5, 1, tzinfo=UTC)
MODEL = BuiltNode(
    name="orders", kind="model", status="success", failed=False, message="", started_at=AT, seconds=1.5, rows=3,
    sql="select 1 as password", at=("w", "marts", "orders"), reads=[("w", "raw", "events")],
)  # fmt: skip
TEST = BuiltNode(
    name="not_null_orders_id", kind="test", status="pass", failed=False, message="", started_at=AT, seconds=0.5,
    rows=None, sql="", at=None, reads=[("w", "marts", "orders")], tested=("w", "marts", "orders"), test="not_null",
    column="id",
)  # fmt: skip
COLUMNS: Mapping[tuple[str, str], Sequence[tuple[str, str]]] = {("marts", "orders"): [("id", "bigint")]}


def a_project(folder: Path, **settings: Any) -> Project:
    """One with a stream of files."""
    found: dict[str, Any] = {
        "name": "p",
        "destinations": {"here": {"type": "duckdb", "path": "w.duckdb"}},
        "sources": {"files": {"type": "files", "path": "data/**/*.json"}},
        "streams": {"events": {"from": "files"}},
        **settings,
    }
    (folder / "penstock.yml").write_text(json.dumps(found))
    return load_project(folder, environ={})


@contextmanager
def telling(project: Project) -> Iterator[tuple[Telling, list[Event]]]:
    """What tells, and the events that came of it, all of them at the block's end."""
    events: list[Event] = []
    emitter = Emitter(lambda: lambda event: events.append(Serde.to_dict(event)), flush_seconds=30)
    yield Telling(project, emitter), events
    emitter.close()


def test_models_that_are_built_all_the_time(tmp_path: Path) -> None:
    """A model is told once a minute, a failure each time, and what is different after it at once; builds of their own
    are runs of ``transform``."""
    failed = replace(MODEL, status="error", failed=True, message="no such column: password=hunter2")
    with telling(a_project(tmp_path)) as (tells, events):
        for nodes in ([MODEL], [MODEL], [failed], [failed], [MODEL], [MODEL]):
            tells.built(lambda nodes=nodes: nodes, lambda: COLUMNS, following=True)  # type: ignore[misc]
    judge(events)
    ended = [e["eventType"] for e in events if e["job"]["name"] == "p.orders" and e["eventType"] != "START"]
    assert ended == ["COMPLETE", "FAIL", "FAIL", "COMPLETE"]
    runs = {e["run"]["runId"]: e["eventType"] for e in events if e["job"]["name"] == "p.transform"}
    assert list(runs.values()) == ended
    parents = [e["run"]["facets"]["parent"]["run"]["runId"] for e in events if e["job"]["name"] == "p.orders"]
    assert list(dict.fromkeys(parents)) == list(runs)
    assert "hunter2" not in json.dumps(events)


def test_tests_and_what_was_left_out(tmp_path: Path) -> None:
    """A test that fails fails the run of its table's tests, one that warns does not; what was skipped is aborted."""
    broken = replace(TEST, name="broken", status="fail", failed=True, message="2 rows")
    warned = replace(TEST, name="warned", status="warn", severity="warn", tested=("w", "raw", "events"))
    skipped = replace(MODEL, name="later", status="skipped")
    with telling(a_project(tmp_path)) as (tells, events):
        tells.built(lambda: [MODEL, TEST, broken, warned, skipped], lambda: COLUMNS, following=False)
    judge(events)
    failed = named(events, "FAIL", "marts.orders.tests")
    found = failed["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert [(a["name"], a["success"]) for a in found] == [("not_null_orders_id", True), ("broken", False)]
    assert "2 rows" in failed["run"]["facets"]["errorMessage"]["message"]
    (found,) = named(events, "COMPLETE", "raw.events.tests")["inputs"][0]["inputFacets"]["dataQualityAssertions"][
        "assertions"
    ]
    assert (found["success"], found["severity"]) == (False, "warn")
    assert named(events, "ABORT", "p.later")["outputs"][0]["name"] == "w.marts.orders"
    assert named(events, "FAIL", "p.transform")


def test_what_cannot_be_told_hinders_nobody(tmp_path: Path) -> None:
    """Whatever goes wrong in telling stays there."""

    def broken() -> list[BuiltNode]:
        raise RuntimeError("no")

    with telling(a_project(tmp_path)) as (tells, events):
        tells.built(broken, lambda: COLUMNS, following=False)
        step = plan_loads(a_project(tmp_path))[0]
        with tells.load(step, lambda: 1 / 0) as told:  # type: ignore[arg-type, return-value]
            told.committed  # noqa: B018 - it is there
    assert not events


def test_a_run_that_is_stopped(tmp_path: Path) -> None:
    """It is aborted, by Ctrl-C too; what is raised in it, or said of it, is why it failed."""
    with telling(a_project(tmp_path)) as (tells, events):
        with tells.run("stopped") as told:
            told.stopped = True
        with pytest.raises(KeyboardInterrupt), tells.run("cut"):
            raise KeyboardInterrupt
        with pytest.raises(ZeroDivisionError), tells.run("raised", due=AT):
            _ = 1 / 0
        with tells.run("said") as told:
            told.error = ValueError("why")
    judge(events)
    assert named(events, "ABORT", "p.stopped") and named(events, "ABORT", "p.cut")
    raised = named(events, "FAIL", "p.raised")["run"]["facets"]
    assert "ZeroDivisionError" in raised["errorMessage"]["message"]
    assert raised["nominalTime"]["nominalStartTime"] == "2026-05-01T00:00:00.000Z"
    assert "why" in named(events, "FAIL", "p.said")["run"]["facets"]["errorMessage"]["message"]


def test_names_of_datasets(tmp_path: Path) -> None:
    """As OpenLineage's conventions have them, without users and passwords."""
    project = a_project(
        tmp_path,
        target="server",
        destinations={
            "server": {"type": "postgres", "url": "postgresql://me:hunter2@db.internal:6543/shop"},
            "socket": {"type": "postgres", "host": "/var/run/postgresql", "database": "shop"},
        },
        sources={
            "files": {"type": "files", "path": ["data/**/*.json", "one.json"]},
            "queue": {"type": "rabbitmq", "url": "amqp://me:hunter2@mq.internal/sales", "queue": "orders"},
            "api": {
                "type": "http", "base_url": "https://api.example.com:8443/v2",
                "endpoints": {"cars": {}, "trips": {"path": "all/trips"}},
            },
        },
        streams={
            "events": {"from": "files"}, "orders": {"from": "queue"}, "cars": {"from": "api"}, "trips": {"from": "api"},
        },
    )  # fmt: skip
    found = {step.stream: [(d.namespace, d.name) for d in inputs(project, step)] for step in plan_loads(project)}
    assert found == {
        "events": [("file", str(tmp_path / "data")), ("file", str(tmp_path / "one.json"))],
        "orders": [("amqp://mq.internal:5672", "sales/orders")],
        "cars": [("https://api.example.com:8443", "/v2/cars")],
        "trips": [("https://api.example.com:8443", "/v2/all/trips")],
    }
    at = table(project.destination, "raw", "events")
    assert (at.namespace, at.name) == ("postgres://db.internal:6543", "shop.raw.events")
    assert table(project.destinations["socket"], "raw", "events").namespace == "postgres://localhost:5432"
    local = a_project(tmp_path)
    at = table(local.destination, "raw", "events")
    assert (at.namespace, at.name) == (f"duckdb://{tmp_path}/w.duckdb", "w.raw.events")
    assert base_of("b*/c", tmp_path) == tmp_path and base_of("/a/b.json", tmp_path) == Path("/a/b.json")


def test_settings(tmp_path: Path) -> None:
    """A transport without its address is an error that says what is missing; a key is shown to nobody."""
    for wrong, said in (
        ({"transport": "http"}, "url"),
        ({"transport": "file"}, "path"),
        ({"transport": "kafka"}, "http, file or console"),
        ({"transport": "http", "url": "marquez:5000"}, "url"),
    ):
        with pytest.raises(ProjectError, match=said):
            a_project(tmp_path, lineage=wrong)
    project = a_project(tmp_path, lineage={"transport": "http", "url": "http://h", "api_key": "s3cr3t"})
    assert isinstance(project.lineage, Lineage) and project.masked()["lineage"]["api_key"] == "*****"
    assert "s3cr3t" not in f"{project.lineage!r} {project.masked()}"


def test_nothing_waits_for_a_sender_that_hangs() -> None:
    """Closing gives up after the time that it is given, and says how much is lost."""
    begun, end = threading.Event(), threading.Event()

    def hang(_: Any) -> None:
        begun.set()
        end.wait(60)

    emitter = Emitter(lambda: hang, flush_seconds=0.2)
    run = Run(id=str(_uuid7()), namespace="n", job="j")
    for _ in range(3):
        emitter.emit(Facts(kind="START", at=AT, run=run, what="RUN"))
    assert begun.wait(60)
    with captured() as records:
        emitter.close()
    end.set()
    assert records[-1]["event"] == "lineage events were not sent in time" and records[-1]["events"] == 2
