"""What commands log: loads with their run, queues that are lost and found, and the settings that say how much."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from urllib.parse import urlsplit

from penstock.land.loop import Stop
from penstock.logs import captured
from penstock.testing.proxy import Proxy
from tests.support.consuming import consumer, until, write_project
from tests.support.fixtures import EMBEDDED
from tests.support.queues import a_queue, numbered, publish
from tests.support.scheduled import a_project
from tests.support.up import call


def test_a_load(tmp_path: Path) -> None:
    """It prints its result and logs nothing; with ``-v`` its records have run, stream, source and load."""
    project = a_project(tmp_path, EMBEDDED, None)
    told = call(project, "load", "-v")
    records = [json.loads(line) for line in told.stderr.splitlines()]
    assert "1 landed" in told.stdout and [r["event"] for r in records] == ["load started", "landed", "load ended"]
    assert {(r["run_id"], r["stream"], r["source"]) for r in records} == {(1, "things", "files")}
    assert records[1]["load_id"] == 1 and records[2]["landed"] == 1
    again = call(project, "load")
    assert (again.returncode, again.stderr) == (0, "")


def test_the_project_file_says(tmp_path: Path) -> None:
    """Its level and format hold; ``--quiet`` and the options before the command are stronger."""
    project = a_project(tmp_path, EMBEDDED, None)
    file = project / "penstock.yml"
    file.write_text(json.dumps({**json.loads(file.read_text()), "logging": {"level": "info", "format": "text"}}))
    assert "[info     ] load ended" in call(project, "load").stderr
    assert call(project, "load", "--quiet").stderr == ""
    file.write_text(file.read_text().replace('"info"', '"loud"'))
    wrong = call(project, "load")
    assert wrong.returncode == 2 and "`logging.level`: expected debug, info, warning or error" in wrong.stderr


def test_a_broker_and_a_warehouse_that_are_lost(tmp_path: Path, rabbitmq_url: str, postgres_url: str) -> None:
    """Each is told with what it is about, and when it is tried again; so is that the broker is back."""
    broker, base = urlsplit(rabbitmq_url), urlsplit(postgres_url)
    settings = a_queue(rabbitmq_url)
    publish(settings, numbered(0, 20))
    with (
        captured() as records,
        Proxy(broker.hostname or "", broker.port or 5672) as queue,
        Proxy(base.hostname or "127.0.0.1", base.port or 5432) as warehouse,
    ):
        folder = write_project(
            tmp_path / "p", settings, queue.url_of(rabbitmq_url), target="postgres", url=warehouse.url_of(postgres_url)
        )
        stop = Stop()
        one = consumer(folder, stop=stop)
        thread = threading.Thread(target=one.run)
        thread.start()

        def said(event: str) -> bool:
            return any(event in r["event"] for r in records)

        try:
            until(lambda: one.landed == 20)
            queue.refuse()
            queue.reset()
            until(lambda: said("not connected to the broker"))
            queue.accept()
            until(lambda: said("connected again"))
            warehouse.refuse()
            warehouse.reset()
            publish(settings, numbered(20, 40))
            until(lambda: said("the warehouse is away"))
            warehouse.accept()
            until(lambda: one.landed == 40)
        finally:
            stop.set()
            thread.join(60)
    lost = [r for r in records if r["level"] == "warning"]
    assert all(r["stream"] == "events" and r["source"] == "queue" and r["again_in_seconds"] >= 0 for r in lost)
    assert all(r["error"] and r["error_type"] for r in lost)
    assert records[-1]["event"] == "stopped consuming" and records[-1]["landed"] == 40
    assert sum(r["read"] for r in records if r["event"] == "landed") >= 40
