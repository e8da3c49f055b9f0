"""Lineage: what loads and builds did, told as OpenLineage events, to a file and to a real server over HTTP."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from penstock.lineage import emitter, telling
from penstock.lineage.emitter import Emitter, close_all
from penstock.lineage.facts import Event, Run
from penstock.logs import captured
from penstock.project import DuckDB, Lineage, Postgres, RabbitMQ, load_project
from penstock.runs.consume import Consumer
from tests.support import commands
from tests.support.fixtures import EMBEDDED
from tests.support.lineage import LAST, judge, named, read_events, receiving
from tests.support.queues import a_queue, publish, until
from tests.support.scheduled import a_project
from tests.support.trips import PROJECT

KEY = "k3y-of-lineage"


def penstock(project: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command, in a process of its own."""
    return commands.penstock(project, *words, "--project-dir", str(project), environ=variables)


def told(project: Path, **settings: Any) -> Path:
    """The project with these settings of lineage; its file."""
    path = project / "penstock.yml"
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "lineage": settings or {"transport": "file", "path": "told/lineage.ndjson"}}))
    return project / "told" / "lineage.ndjson"


@pytest.mark.parametrize("kind", [pytest.param("duckdb", marks=pytest.mark.slow), "postgres"])
def test_loads_and_models(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> None:
    """A run's loads, models and tests are told with what they read and wrote: to a file from DuckDB, over HTTP from
    PostgreSQL. The run is the parent of all, and no event has a secret."""
    project = tmp_path / "trips"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns(".penstock", "*.duckdb*"))
    path = project / "penstock.yml"
    with receiving() as server:
        if kind == "duckdb":
            text = path.read_text() + "lineage: { transport: file, path: lineage.ndjson, namespace: here }\n"
        else:
            url = request.getfixturevalue("postgres_url")
            text = (
                path.read_text().replace(
                    "{ type: duckdb, path: warehouse.duckdb, threads: 1 }", f'{{ type: postgres, url: "{url}" }}'
                )
                + f"lineage: {{ transport: http, url: '{server.url}', api_key: '${{LINEAGE_KEY}}', namespace: here }}\n"
            )
        path.write_text(text)
        done = penstock(project, "run", LINEAGE_KEY=KEY)
        assert done.returncode == 0, done.stderr
        events = read_events(project / "lineage.ndjson") if kind == "duckdb" else server.events
        if kind == "postgres":
            assert set(server.paths) == {"/api/v1/lineage"} and set(server.authorizations) == {f"Bearer {KEY}"}
    judge(events)
    assert KEY not in json.dumps(events) and {e["job"]["namespace"] for e in events} == {"here"}
    destination = load_project(project, environ={"LINEAGE_KEY": KEY}).destination
    if isinstance(destination, DuckDB):
        space, database = f"duckdb://{destination.path}", "warehouse"
    else:
        assert isinstance(destination, Postgres)
        space, database = f"postgres://{destination.host}:{destination.port}", str(destination.database)

    run = named(events, "COMPLETE", "trips.run")
    others = [e for e in events if e["run"]["runId"] != run["run"]["runId"]]
    assert len(others) == 2 * (2 + 2 + 1)  # loads, models, tests of a table
    assert {e["run"]["facets"]["parent"]["run"]["runId"] for e in others} == {run["run"]["runId"]}

    load = named(events, "COMPLETE", "load.trips.trip_files")
    (read,), (written,) = load["inputs"], load["outputs"]
    assert (read["namespace"], read["name"]) == ("file", str(project / "data" / "trips"))
    assert (written["namespace"], written["name"]) == (space, f"{database}.raw.trips")
    count = penstock(project, "query", "select count(*) as n from raw.trips", "--json", LINEAGE_KEY=KEY)
    landed = json.loads(count.stdout)[0]["n"]
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == landed > 0
    assert [(f["name"], f["type"]) for f in written["facets"]["schema"]["fields"]] == [
        ("id", "bigint"), ("city", "text"), ("started_at", "timestamp"),
    ]  # fmt: skip
    (source,) = written["facets"]["columnLineage"]["fields"]["city"]["inputFields"]
    assert (source["name"], source["field"]) == (read["name"], "city")
    assert source["transformations"][0]["subtype"] == "IDENTITY"

    staged, mart = named(events, "COMPLETE", ".stg_trips"), named(events, "COMPLETE", ".trips_by_country")
    assert {d["name"] for d in staged["inputs"]} == {f"{database}.raw.trips", f"{database}.raw.cities"}
    assert [d["name"] for d in mart["inputs"]] == [d["name"] for d in staged["outputs"]]
    assert {d["namespace"] for d in (*staged["inputs"], *mart["inputs"], *mart["outputs"])} == {space}
    assert [f["name"] for f in mart["outputs"][0]["facets"]["schema"]["fields"]] == ["country", "trips"]
    assert "group by country" in mart["job"]["facets"]["sql"]["query"]
    assert mart["job"]["facets"]["jobType"]["integration"] == "DBT"
    tests = named(events, "COMPLETE", "marts.trips_by_country.tests")
    found = tests["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert {a["assertion"] for a in found} == {"unique", "not_null", "relationships"}
    assert {(a["column"], a["success"]) for a in found} == {("country", True)}


def test_a_load_that_fails(tmp_path: Path) -> None:
    """It fails in lineage too, and so does its run, with the error, and without the password that is in it."""
    project = a_project(tmp_path, EMBEDDED, None, contract="freeze", columns={"name": "text"})
    file = told(project)
    (project / "data" / "wrong.ndjson").write_text('{"name": "n", "password=hunter2": 1}\n')
    assert penstock(project, "load").returncode == 3
    events = read_events(file)
    judge(events)
    for job in ("load.things.files", "counted.load"):
        error = named(events, "FAIL", job)["run"]["facets"]["errorMessage"]
        assert "fix:" in error["message"] and error["programmingLanguage"] == "Python"
    assert "hunter2" not in file.read_text()


def test_killed(tmp_path: Path) -> None:
    """A load that is killed has begun and never ended; the next one is another run, which ends well."""
    project = a_project(tmp_path, EMBEDDED, None)
    file = told(project)
    killed = penstock(project, "load", PENSTOCK_FAULT="before_ack:kill")
    assert killed.returncode == -signal.SIGKILL
    before = read_events(file) if file.exists() else []
    judge(before, ended=False)
    assert not [e for e in before if e["eventType"] in LAST]
    assert penstock(project, "load").returncode == 0
    events = read_events(file)[len(before) :]
    judge(events)
    assert named(events, "COMPLETE", "load.things.files")["outputs"][0]["outputFacets"]["outputStatistics"][
        "rowCount"
    ] in (0, 1)


def test_by_variables_alone(tmp_path: Path) -> None:
    """Without settings, OpenLineage's own variables say where to, and which run is the parent; they can turn it off."""
    project = a_project(tmp_path, EMBEDDED, None)
    parent = "airflow/dag.task/01a1fedc-3b71-759c-99fa-9aaf1d803828"
    with receiving() as server:
        variables = {"OPENLINEAGE_URL": server.url, "OPENLINEAGE_PARENT_ID": parent}
        assert penstock(project, "load", OPENLINEAGE_DISABLED="true", **variables).returncode == 0
        assert not server.events
        done = penstock(project, "load", **variables)
        assert done.returncode == 0, done.stderr
        judge(server.events)
        facet = named(server.events, "COMPLETE", "counted.load")["run"]["facets"]["parent"]
        assert (facet["job"]["namespace"], facet["job"]["name"]) == ("airflow", "dag.task")
        assert facet["run"]["runId"] == parent.rpartition("/")[2]
        inner = named(server.events, "COMPLETE", "load.things.files")["run"]["facets"]["parent"]
        assert inner["root"]["run"] == {"facets": {}, **facet["run"]} or inner["root"]["run"]["runId"] in parent
    assert penstock(project, "load").returncode == 0


def test_a_server_that_is_away_hinders_nobody(tmp_path: Path) -> None:
    """Nobody listens: the load is as it would be, its one warning says so, and it ends soon."""
    project = a_project(tmp_path, EMBEDDED, None)
    with receiving() as server:
        gone = server.url
        told(project, transport="http", url=gone, flush_seconds=1)
        assert doctor(project)["ok"]
    assert "nobody listens" in doctor(project)["found"]
    done = penstock(project, "load")
    assert done.returncode == 0 and "1 landed" in done.stdout
    records = [json.loads(line) for line in done.stderr.splitlines()]
    assert [r["level"] for r in records] == ["warning"] * len(records) and len(records) <= 2
    assert "lineage events cannot be sent" in records[0]["event"]


def doctor(project: Path) -> dict[str, Any]:
    """What it says of lineage."""
    (found,) = [c for c in json.loads(penstock(project, "doctor", "--json").stdout) if c["check"] == "lineage"]
    return dict(found)


def facts(number: int) -> Event:
    """An event of a run of its own."""
    run = Run(id=str(telling._uuid7()), namespace="penstock", job=f"p.{number}")
    return Event(kind="START", at=datetime.now(UTC), run=run, what="RUN")


def emitting(url: str, **given: Any) -> Emitter:
    """An emitter to a server."""
    settings = Lineage.model_validate({"transport": "http", "url": url})
    return Emitter(lambda: emitter._sender(settings), flush_seconds=5.0, **given)


def outcomes() -> Mapping[str, int]:
    """What became of this process's events."""
    return {"sent": 0, "failed": 0, "dropped": 0, **emitter.counted()}


def test_a_server_that_comes_back_misses_nothing() -> None:
    """Events wait for it, in order; what comes when too many wait is dropped, and counted; the log says it once."""
    with receiving() as server:
        port = server.port
    sending = emitting(f"http://127.0.0.1:{port}", waiting=5)
    before = outcomes()
    with captured() as records:
        for number in range(10):
            started = time.monotonic()
            sending.emit(facts(number))
            assert time.monotonic() - started < 1.0
        until(lambda: any("cannot be sent" in r["event"] for r in records), "it says so")
        with receiving(port) as server:
            server.answers = [503, 429]
            until(lambda: len(server.events) >= 5, "it is back")
            sending.close()
            jobs = [e["job"]["name"] for e in server.events]
    sent, dropped = (outcomes()[name] - before[name] for name in ("sent", "dropped"))
    assert jobs == [f"p.{n}" for n in range(len(jobs))] and len(jobs) == sent and sent + dropped == 10
    assert dropped >= 4
    assert [r["event"] for r in records if r["level"] == "warning"] == [
        "lineage events cannot be sent; nothing else waits for them"
    ]


def test_what_the_server_refuses_is_not_sent_again() -> None:
    """A refused event is counted, and the next one goes."""
    before = outcomes()
    with receiving() as server:
        server.answers = [400]
        sending = emitting(server.url)
        sending.emit(facts(0))
        sending.emit(facts(1))
        until(lambda: bool(server.events), "the second")
        sending.close()
        assert [e["job"]["name"] for e in server.events] == ["p.1"] and len(server.paths) == 2
    assert outcomes()["failed"] - before["failed"] == 1


def test_a_queue(tmp_path: Path, rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Consuming is one run: it tells how far it is now and then, and ends well when it is stopped."""
    monkeypatch.setattr(telling, "RUNNING_SECONDS", 0.0)
    settings = a_queue(rabbitmq_url)
    project = {
        "name": "queued",
        "destinations": {"here": EMBEDDED},
        "sources": {"queue": {"type": "rabbitmq", "url": rabbitmq_url, "queue": settings.queue}},
        "streams": {"events": {"from": "queue"}},
        "lineage": {"transport": "file", "path": "lineage.ndjson"},
    }
    (tmp_path / "penstock.yml").write_text(json.dumps(project))
    loaded = load_project(tmp_path)
    own = loaded.sources["queue"]
    assert isinstance(own, RabbitMQ)
    consumer = Consumer(loaded, "events", "queue", max_messages=20)
    thread = threading.Thread(target=consumer.run)
    thread.start()
    until(lambda: consumer.connected, "it is connected")
    publish(own, [json.dumps({"n": n}).encode() for n in range(20)])
    thread.join(60)
    assert consumer.landed == 20
    close_all()
    events = read_events(tmp_path / "lineage.ndjson")
    judge(events)
    kinds = [e["eventType"] for e in events]
    assert kinds[0] == "START" and "RUNNING" in kinds and kinds[-1] == "COMPLETE"
    last = events[-1]
    assert last["inputs"][0]["namespace"] == f"amqp://{own.host}:{own.amqp_port}"
    assert last["inputs"][0]["name"].endswith(f"/{settings.queue}") or last["inputs"][0]["name"] == settings.queue
    assert last["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 20
    assert last["job"]["facets"]["jobType"]["processingType"] == "STREAMING"
