"""Alerts of processes that are up, or are called by a clock: one message when something begins to fail, one when it is
well again, whatever is killed in between; on both warehouses."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from penstock.alerts.notices import Observation
from penstock.alerts.notifier import Notifier
from penstock.land.loop import Stop
from penstock.land.session import Session
from penstock.project import load_project
from penstock.testing.proxy import Proxy
from penstock.up import alert_part
from penstock.up.supervisor import Supervisor
from tests.support.fixtures import EMBEDDED
from tests.support.invoked import command
from tests.support.queues import a_queue, publish, until
from tests.support.receiver import Receiver, free_port, receiver
from tests.support.up import Up, call, up


def a_project(folder: Path, warehouse: dict[str, Any], url: str, **settings: Any) -> Path:
    """A frozen stream of files, and somebody who is told."""
    directory = folder / "project"
    (directory / "data").mkdir(parents=True)
    stream = {"from": "files", "contract": "freeze", "columns": {"name": "text"}, **settings.pop("stream", {})}
    file = {
        "name": "told",
        "destinations": {"here": warehouse},
        "sources": {"files": {"type": "files", "path": "data/*.ndjson"}},
        "streams": {"things": stream},
        "transform": False,
        "notify": {"to": [{"webhook": {"url": url, "timeout_seconds": 5}}], "settle": "1s"},
        **settings,
    }
    (directory / "penstock.yml").write_text(json.dumps(file))
    drop(directory, "first")
    return directory


def drop(project: Path, name: str, **more: Any) -> Path:
    """A file with one record; with more fields than its name it breaks the contract."""
    path = project / "data" / f"{name}.ndjson"
    path.write_text(json.dumps({"name": name, **more}) + "\n")
    return path


def failures(process: Up) -> int:
    """Runs that failed."""
    return int(process.query("select count(*) from penstock.runs where status = 'error'")[0][0])


def kept(project: Path) -> list[Sequence[Any]]:
    """The ledger's word on problems."""
    with Session(load_project(project)) as session:
        sql = "select subject, state, told, delivered_at is not null from penstock.alerts order by subject"
        return list(session.destination.query(sql).rows)


@pytest.mark.slow
def test_a_schedule_that_fails(warehouse: dict[str, Any], tmp_path: Path) -> None:
    """A schedule that fails every second is told once; killed and started again while it goes on failing, not again;
    once it is mended it is told that it is well, and how long it lasted."""
    with receiver() as told:
        project = a_project(tmp_path, warehouse, told.url, schedule="every 1s")
        bad = drop(project, "worse", odd=1)
        with up(project) as process:
            until(lambda: len(told.posts) == 1, process.said)
            until(lambda: failures(process) >= 4, process.said)
            until(lambda: process.query("select delivered_at is not null from penstock.alerts") == [[True]], "kept")
            shown = process.status()["alerts"]
            assert [(a["alert"], a["subject"], a["state"]) for a in shown] == [
                ("schedule_failed", "schedule project", "failing")
            ]
            process.process.send_signal(signal.SIGKILL)
            process.process.wait(10)
        (project / ".penstock" / "up.json").unlink()
        with up(project) as process:
            before = failures(process)
            until(lambda: failures(process) >= before + 3, process.said)
            assert len(told.posts) == 1
            bad.unlink()
            until(lambda: len(told.posts) == 2, process.said)
            until(lambda: process.query("select delivered_at is not null from penstock.alerts") == [[True]], "kept")
            assert process.end() == 0
    assert told.events() == [("failed", "schedule project"), ("recovered", "schedule project")]
    first, last = (post.said["alerts"][0] for post in told.posts)
    assert "odd" in first["what"] and first["fix"] and first["look"] == f"penstock runs show {first['run']}"
    assert last["lasted_seconds"] > 0 and last["since"] == first["since"]
    assert kept(project) == [("schedule project", "over", "recovered", True)]


@pytest.mark.slow
def test_expectations_are_told(warehouse: dict[str, Any], tmp_path: Path) -> None:
    """An expectation that fails while a process is up is told, shown and measured; loads make it well again. What fails
    at the same time is one message; what only warns is none."""
    expect = ["fresh within 3s", "rows >= 2 in 1d", "fresh within 2s or warn"]
    with receiver() as told:
        project = a_project(tmp_path, warehouse, told.url, stream={"expect": expect})
        with up(project) as process:
            until(lambda: ("failed", "stream things: fresh within 3s") in told.events(), process.said)
            figures = process.figures()
            assert figures["penstock_expectation_ok", "things"] == 0, figures
            shown = {e["expectation"]: e["state"] for e in process.status()["expectations"]}
            assert shown["fresh within 3s"] == "failed" and shown["rows >= 2 in 1d"] == "waiting"
            checked = call(project, "check")
            assert checked.returncode == 1 and "warns" in checked.stdout
            assert re.search(r"fresh within 3s +failed +last landed", checked.stdout), checked.stdout
            status = call(project, "status").stdout
            assert re.search(r"rows >= 2 in 1d +waiting ", checked.stdout + status) and "  warns  " in status
            assert re.search(r" \d\d:\d\d:\d\d\+", status) and not re.search(r"\dT\d\d:|:\d\d\.\d", status), status
            beside = call(project, "check", "--notify")
            assert "tells of expectations itself" in beside.stderr
            for number in range(60):  # each keeps it fresh for three seconds
                drop(project, f"more_{number}")
                time.sleep(1)
                if len(told.posts) >= 2:
                    break
            assert process.end() == 0
    assert [e for e, _ in told.events()][:2] == ["failed", "recovered"]


def test_commands_that_are_called_by_a_clock(tmp_path: Path) -> None:
    """``--notify`` has each command tell when it begins to fail and when it ceases to; without it nothing is told. What
    nobody took is told by the next."""
    with receiver() as told:
        project = a_project(tmp_path, EMBEDDED, told.url, stream={"expect": "rows <= 1 in 1d"})
        assert command(project, "load", "--notify").code == 0
        bad = drop(project, "worse", odd=1)
        assert command(project, "load").code == 3 and not told.posts
        assert [command(project, "load", "--notify").code for _ in range(2)] == [3, 3]
        assert told.events() == [("failed", "penstock load")]
        run = str(told.posts[0].said["alerts"][0]["run"])
        assert "odd" in command(project, "runs", "show", run).out
        assert command(project, "load", "things", "--notify").code == 3
        assert told.events()[1:] == [("failed", "penstock load things")]
        bad.unlink()
        drop(project, "second")
        assert command(project, "load", "--notify").code == 0
        assert told.events()[2:] == [("recovered", "penstock load")]
        told.answers = [404]
        failed = command(project, "check", "--notify")
        assert failed.code == 1 and "answered 404" in failed.err and "SECRET" not in failed.err
        assert len(told.posts) == 3
        shown = json.loads(command(project, "status", "--json").out)["alerts"]
        assert [a["not_delivered"] for a in shown if a["alert"] == "expectation_failed"] == [
            "webhook 127.0.0.1: answered 404: no"
        ]
        long_ago(project)
        assert command(project, "check", "--notify").code == 1
        assert told.events()[3:] == [("failed", "stream things: rows <= 1 in 1d")]


def test_what_is_no_longer_expected(warehouse: dict[str, Any], tmp_path: Path) -> None:
    """An expectation that is changed while it fails is told as over, in these words, and what it says now is judged. Of
    numbers, ``check`` shows since when they are wrong, as it was taken down."""
    with receiver() as told:
        project = a_project(tmp_path, warehouse, told.url, stream={"expect": ["quarantined <= 0", "rows <= 0 in 1d"]})
        (project / "data" / "bad.ndjson").write_text("no json\n")
        assert command(project, "load").code == 0
        before = json.loads(command(project, "check", "--json").out)
        assert [(v["state"], v["since"]) for v in before] == [("failed", None)] * 2
        assert command(project, "check", "--notify").code == 1
        since = [v["since"] for v in json.loads(command(project, "check", "--json").out)]
        assert len(set(since)) == 1 and since[0] is not None
        assert since[0][:19].replace("T", " ") in command(project, "check").out
        file = project / "penstock.yml"
        file.write_text(file.read_text().replace("rows <= 0 in 1d", "rows <= 30 in 1d"))
        assert command(project, "check", "--notify").code == 1
        assert sorted(told.events()) == [
            ("failed", "stream things: quarantined <= 0 in 1d"),
            ("failed", "stream things: rows <= 0 in 1d"),
            ("recovered", "stream things: rows <= 0 in 1d"),
        ]
        assert told.posts[-1].said["subject"] == "[told] no longer there: stream things: rows <= 0 in 1d"
        assert "rows <= 0 in 1d: no longer expected, after " in told.posts[-1].said["text"]
        assert command(project, "check", "--notify").code == 1 and len(told.posts) == 2
        shown = json.loads(command(project, "status", "--json").out)["alerts"]
        assert [a["subject"] for a in shown] == ["stream things: quarantined <= 0 in 1d"]


@pytest.mark.slow
def test_what_is_no_longer_there(tmp_path: Path) -> None:
    """A process that begins closes what earlier ones told of schedules, queues, files, parts, commands and models that
    the project has no longer, in one message, and nothing else."""
    gone = [
        ("expectation_failed", "stream old: fresh within 1m"),
        ("files_refused", "files of old from files"),
        ("models_failed", "models"),
        ("part_failing", "part consume old queue"),
        ("part_failing", "part trigger"),
        ("queue_unreachable", "queue queue of old"),
        ("run_failed", "penstock load old"),
        ("schedule_failed", "schedule stream old"),
        ("warehouse_unreachable", "warehouse old"),
    ]
    still = [("run_failed", "penstock load"), ("run_failed", "penstock transform silver"),
             ("schedule_failed", "schedule project")]  # fmt: skip
    with receiver() as told:
        project = a_project(tmp_path, EMBEDDED, told.url, schedule="@yearly")
        assert command(project, "load").code == 0
        notifier = Notifier(load_project(project))
        notifier.see([Observation(alert=a, subject=s, failing=True, what="why") for a, s in gone + still])
        notifier.tell()
        with up(project) as process:
            until(lambda: len(told.posts) == 2, process.said)
            assert sorted((a["alert"], a["subject"]) for a in told.posts[1].said["alerts"]) == gone
            assert {(a["event"], a["what"]) for a in told.posts[1].said["alerts"][1:]} <= {
                ("recovered", "no longer there"), ("recovered", "no longer expected")
            }  # fmt: skip
            assert sorted((a["alert"], a["subject"]) for a in process.status()["alerts"]) == still
            assert process.end() == 0
        assert command(project, "load", "--notify").code == 0
    assert told.events()[-1] == ("recovered", "penstock load") and len(told.posts) == 3


def test_nobody_is_told(tmp_path: Path) -> None:
    """``--notify`` in a project that names nobody says so, and does the rest; without it there is nothing to say."""
    project = a_project(tmp_path, EMBEDDED, "", stream={"expect": "rows >= 1 in 1d"}, notify=[])
    for words in (["load"], ["run"], ["check"]):
        done = command(project, *words, "--notify", "--quiet")
        assert done.code == 0 and "warning: --notify tells nobody" in done.err and "- webhook:" in done.err
        assert "tells nobody" not in command(project, *words).err


def long_ago(project: Path) -> None:
    """Have what was told be told ten minutes before."""
    path = project / ".penstock" / "alerts.here.json"
    path.unlink()
    with Session(load_project(project)) as session:
        sql = "select detail, subject from penstock.alerts where delivered_at is null"
        ((detail, subject),) = session.destination.query(sql).rows
        found = json.loads(detail)
        found["told_at"] = (datetime.fromisoformat(found["told_at"]) - timedelta(minutes=10)).isoformat()
        sql = "update penstock.alerts set detail = cast($1 as json) where subject = $2"
        session.destination.query(sql, [json.dumps(found), subject])


def test_the_warehouse_is_away(tmp_path: Path, postgres_url: str) -> None:
    """When the warehouse is what fails, it is told all the same, once over two commands, and when it is back."""
    wrong = postgres_url.replace("/test_", f"/gone_{free_port()}_test_")
    with receiver() as told:
        project = a_project(tmp_path, {"type": "postgres", "url": wrong}, told.url)
        assert [command(project, "load", "--notify").code for _ in range(2)] == [1, 1]
        assert told.events() == [("failed", "penstock load")]
        file = project / "penstock.yml"
        file.write_text(file.read_text().replace(wrong, postgres_url))
        assert command(project, "load", "--notify").code == 0
        assert told.events()[1:] == [("recovered", "penstock load")]
    assert kept(project) == [("penstock load", "over", "recovered", True)]


@pytest.mark.slow
def test_files_and_nobody_there(tmp_path: Path) -> None:
    """A watched file that breaks the contract is told of; the receiver, away at first, has it when it comes."""
    port = free_port()
    project = a_project(tmp_path, EMBEDDED, f"http://127.0.0.1:{port}/x")
    drop(project, "worse", odd=1)
    with up(project) as process:
        until(lambda: "a notification did not arrive" in process.said(), process.said)
        told = Receiver(port)
        try:
            until(lambda: len(told.posts) == 1, process.said)
            (project / "data" / "worse.ndjson").unlink()
            until(lambda: len(told.posts) == 2, process.said)
        finally:
            told.close()
        assert process.end() == 0
    assert told.events() == [("failed", "files of things from files"), ("recovered", "files of things from files")]
    assert told.posts[0].said["alerts"][0]["what"].startswith("worse.ndjson: ")


def test_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that dies at each start is told of, as is a broker that is away, and both when they are well again."""
    monkeypatch.setattr(alert_part, "AWAY_SECONDS", 0.5)
    monkeypatch.setattr(alert_part, "STEADY_SECONDS", 0.5)
    with receiver() as told:
        sources = {
            "files": {"type": "files", "path": "data/*.ndjson"},
            "queue": {"type": "rabbitmq", "queue": "q", "port": free_port()},
        }
        streams: dict[str, Any] = {"things": {"from": "files"}, "others": {"from": "queue"}}
        directory = a_project(tmp_path, EMBEDDED, told.url, sources=sources, streams=streams)
        assert command(directory, "load", "things").code == 0
        file = directory / "penstock.yml"
        right = file.read_text()
        streams["things"] = {"from": "files", "identity": ["name"]}
        file.write_text(json.dumps({**json.loads(right), "streams": streams}))
        drop(directory, "second")
        supervised(directory, told, 2)
        file.write_text(right)
        supervised(directory, told, 3)
    assert sorted(told.events()[:2]) == [("failed", "part watch things files"), ("failed", "queue queue of others")]
    assert told.events()[2:] == [("recovered", "part watch things files")]
    found = {a["alert"]: a for post in told.posts for a in post.said["alerts"] if a["event"] == "failed"}
    assert "identity was content" in found["part_failing"]["what"]
    assert found["part_failing"]["fix"].startswith("put identity: content back")


def test_what_comes_by_queue_cannot_land(tmp_path: Path, rabbitmq_url: str) -> None:
    """It is told of with the reason and the fix, and so is that it lands again; that no connection is made for it is no
    alert of its own."""
    queue = a_queue(rabbitmq_url)
    with receiver() as told:
        directory = a_project(
            tmp_path,
            EMBEDDED,
            told.url,
            sources={"queue": {"type": "rabbitmq", "url": rabbitmq_url, "queue": queue.queue}},
            streams={"things": {"from": "queue", "contract": "freeze", "columns": {"name": "text"}}},
        )
        publish(queue, [b'{"name":"first","surprise":1}'])
        supervised(directory, told, 1)
        file = directory / "penstock.yml"
        file.write_text(file.read_text().replace('"freeze"', '"evolve"'))
        supervised(directory, told, 2)
    assert told.events() == [("failed", "queue queue of things"), ("recovered", "queue queue of things")]
    alert = told.posts[0].said["alerts"][0]
    assert alert["alert"] == "landing_stopped"
    assert "surprise" in alert["what"] and "relax contract:" in alert["fix"]


def supervised(directory: Path, told: Receiver, events: int) -> None:
    """Have a process be up until so much was told."""
    stop = Stop()
    supervisor = Supervisor(load_project(directory), models=False, stop=stop)
    supervisor.start()
    try:
        until(lambda: len(told.events()) >= events, lambda: str(supervisor.status()["parts"]))
    finally:
        stop.set()
        assert not supervisor.close()


@pytest.mark.slow
def test_models(tmp_path: Path) -> None:
    """Models that cannot be built are told of once, however often that is tried, and when they are mended."""
    with receiver() as told:
        project = a_project(tmp_path, EMBEDDED, told.url, transform=True)
        (project / "dbt_project.yml").write_text("name: told\nversion: '1.0.0'\nprofile: penstock\n")
        (project / "models").mkdir()
        (project / "models" / "sources.yml").write_text(
            "sources: [{name: raw, schema: raw, tables: [{name: things}]}]\n"
        )
        model = project / "models" / "counts.sql"
        right = "{{ config(materialized='table') }} select count(*) as n from {{ source('raw', 'things') }}\n"
        model.write_text(right.replace("count(*)", "count(nothing_of_that_name)"))
        with up(project) as process:
            until(lambda: len(told.posts) == 1, process.said)
            until(lambda: process.figures()["penstock_transform_failures_total", ""] >= 2, process.said)
            run = told.posts[0].said["alerts"][0]["run"]
            assert process.query(f"select kind, status from penstock.runs where run_id = {run}") == [
                ["transform", "error"]
            ]
            model.write_text(right)
            until(lambda: len(told.posts) == 2, process.said)
            assert process.end() == 0
    assert told.events() == [("failed", "models"), ("recovered", "models")]
    assert "nothing_of_that_name" in told.posts[0].said["alerts"][0]["what"]


def test_the_warehouse_goes_away(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a process is up, its warehouse goes: that is told from what it remembers, once, and when it is back. What
    was told meanwhile is in the ledger then."""
    monkeypatch.setattr(alert_part, "JUDGE_SECONDS", 0.5)
    monkeypatch.setattr(alert_part, "STEADY_SECONDS", 0.5)
    base = urlsplit(postgres_url)
    with receiver() as told, Proxy(base.hostname or "127.0.0.1", base.port or 5432) as proxy:
        directory = a_project(tmp_path, {"type": "postgres", "url": proxy.url_of(postgres_url)}, told.url)
        assert command(directory, "load").code == 0
        stop = Stop()
        supervisor = Supervisor(load_project(directory), models=False, stop=stop)
        supervisor.start()
        warehouse = [("failed", "warehouse here"), ("recovered", "warehouse here")]
        try:
            until(lambda: supervisor.status()["parts"][0]["state"] == "running", "it is up")
            proxy.refuse()
            proxy.cut()
            until(lambda: warehouse[0] in told.events(), lambda: str(told.events()))
            proxy.accept()
            until(lambda: warehouse[1] in told.events(), lambda: str(told.events()))
        finally:
            stop.set()
            assert not supervisor.close()
        assert ("warehouse here", "over", "recovered", True) in kept(directory)
    assert [e for e in told.events() if e[1] == "warehouse here"] == warehouse
