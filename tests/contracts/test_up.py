"""``penstock up`` as a process, on a real broker and both warehouses: messages and files come, and models follow."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penstock.project import RabbitMQ, load_project
from penstock.testing.rabbitmq import PrivateRabbitMQ
from tests.support.queues import declare, until, waiting
from tests.support.up import a_project, an_event, call, eventually, send, up


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.slow)])
def project(request: pytest.FixtureRequest, tmp_path: Path, rabbitmq_url: str) -> Path:
    """The example in a folder of its own, its events by queue too."""
    if request.param == "duckdb":
        warehouse = {"type": "duckdb", "path": "warehouse.duckdb"}
    else:
        warehouse = {"type": "postgres", "url": request.getfixturevalue("postgres_url")}
    return a_project(tmp_path, warehouse, rabbitmq_url)


@pytest.fixture
def embedded(tmp_path: Path, rabbitmq_url: str) -> Path:
    """The same, on DuckDB."""
    return a_project(tmp_path, {"type": "duckdb", "path": "warehouse.duckdb"}, rabbitmq_url)


CURRENT = "select organization_name from dimensional.dim_user where user_id = '{}' and is_current"


def test_models_follow_messages_and_files(project: Path) -> None:
    """Events by queue and by file are in ``dim_user`` a few seconds later; figures, status and queries say so while
    it runs; SIGTERM ends it with 0, all acknowledged; nobody else may ask the warehouse."""
    with up(project) as process:
        eventually(lambda: process.get("/healthz"), (200, "ok\n"))
        eventually(lambda: process.get("/readyz")[0], 200)
        send(project, [an_event("u1"), an_event("u2"), {"no": "id"} | {"id": "u3"}, an_event("u1")])
        eventually(lambda: process.query(CURRENT.format("u1")), [["Initech"]])
        send(project, [an_event("u1", "User Updated", "2025-05-02T10:00:00", organization_name="Hooli")])
        eventually(lambda: process.query(CURRENT.format("u1")), [["Hooli"]])
        (project / "data" / "user_events" / "more.ndjson").write_text(json.dumps(an_event("u9")) + "\n")
        eventually(lambda: process.query(CURRENT.format("u9")), [["Initech"]])

        # rows are there before the build that made them has ended
        until(lambda: process.figures()["penstock_transform_duration_seconds_count", ""] >= 3, "three builds")
        figures = process.figures()
        read = figures["penstock_records_read_total", "user_events"]
        assert read == sum(
            figures[f"penstock_records_{name}_total", "user_events"] for name in ("landed", "duplicate", "quarantined")
        )
        assert figures["penstock_records_duplicate_total", "user_events"] >= 1
        assert figures["penstock_batch_duration_seconds_count", "user_events"] >= 3
        assert figures["penstock_lag_messages", "user_events"] == 0
        assert figures["penstock_lag_seconds", "user_events"] == 0
        assert 0 <= figures["penstock_model_freshness_seconds", "dimensional.dim_user"] < 60
        assert figures["penstock_transform_duration_seconds_count", ""] >= 3
        assert figures["penstock_transform_failures_total", ""] == 0
        assert all(v == 0 for (name, _), v in figures.items() if name == "penstock_part_restarts_total")

        asked = call(project, "query", "select count(*) as n, max(received_at) as at from raw.user_events", "--json")
        assert asked.returncode == 0, asked.stderr
        assert json.loads(asked.stdout)[0]["n"] == figures["penstock_records_landed_total", "user_events"]
        wrong = call(project, "query", "select nothing from nowhere")
        assert wrong.returncode == 1 and "nowhere" in wrong.stderr
        shown = call(project, "status")
        assert shown.returncode == 0 and "consume user_events event_queue" in shown.stdout, shown.stderr
        assert json.loads(call(project, "status", "--json").stdout)["parts"][0]["state"] == "running"

        assert stat.S_IMODE(process.file.stat().st_mode) == 0o600
        assert process.get("/query", b'{"sql": "select 1"}')[0] == 403
        assert process.get("/status", token="guessed")[0] == 403
        assert process.get("/elsewhere")[0] == 404

        again = call(project, "up")
        assert again.returncode == 5 and str(process.process.pid) in again.stderr
        started = time.monotonic()
        assert process.end() == 0, process.said()
        assert time.monotonic() - started < 15
        assert not process.file.exists()
    settings = load_project(project).sources["event_queue"]
    assert isinstance(settings, RabbitMQ) and waiting(settings) == 0
    done = call(project, "run", "--quiet")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_failing_model_stops_nothing(embedded: Path) -> None:
    """While a model fails, records land, other models are built, the failure shows; mended, it is built by itself."""
    model = embedded / "models" / "crm" / "users_dim.sql"
    good = model.read_text()
    with up(embedded) as process:
        eventually(lambda: process.figures()["penstock_transform_duration_seconds_count", ""] >= 1, True)
        model.write_text(good + "\nselect broken")
        send(embedded, [an_event("u1")])
        eventually(lambda: process.query(CURRENT.format("u1")), [["Initech"]])
        until(lambda: process.figures()["penstock_transform_failures_total", ""] >= 2, process.said)
        part = process.part("trigger")
        assert part["state"] == "running" and "users_dim" in part["last_error"]
        assert any(run["status"] == "error" for run in process.status()["runs"])
        send(embedded, [an_event("u2")])
        eventually(lambda: process.query("select count(*) from raw.user_events where id = 'u2'"), [[1]])
        model.write_text(good)
        eventually(lambda: process.query("select count(*) from crm.users_dim where user_id in ('u1', 'u2')"), [[2]])
        eventually(lambda: process.part("trigger")["last_error"], "")
        assert process.end(signal.SIGINT) == 0


@pytest.mark.slow
def test_a_blocked_part_stops_no_other(embedded: Path) -> None:
    """A consumer whose stream is frozen is blocked by a new field: it shows, its messages stay, and the other parts go
    on."""
    settings = json.loads((embedded / "penstock.yml").read_text())
    settings["streams"]["user_events"]["contract"] = "freeze"
    (embedded / "penstock.yml").write_text(json.dumps(settings))
    with up(embedded) as process:
        eventually(lambda: process.get("/readyz")[0], 200)
        send(embedded, [an_event("u1", surprise="!")])
        eventually(lambda: process.part("consume")["state"], "blocked")
        part = process.part("consume")
        assert "surprise" in part["last_error"] and "fix:" in part["last_error"] and part["restarts"] == 0
        code, reasons = process.get("/readyz")
        assert code == 503 and "surprise" in reasons
        figures = process.figures()
        assert figures["penstock_landing_blocked", "user_events"] == 1
        assert figures["penstock_part_up", "consume user_events event_queue"] == 0
        assert figures["penstock_lag_messages", "user_events"] == 1
        organization = {"organization_key": "k", "organization_name": "Hooli", "created_at": "2025-05-01T10:00:00"}
        (embedded / "data" / "organizations" / "more.ndjson").write_text(json.dumps(organization) + "\n")
        found = "select count(*) from dimensional.dim_organization where organization_name = 'Hooli'"
        eventually(lambda: process.query(found), [[1]])
        assert process.end() == 0
        said = [json.loads(line) for line in process.said().splitlines()]
        blocked = [r for r in said if r["event"].startswith("nothing can be landed")]
        assert len(blocked) == 1, "it is said once"
        assert blocked[0]["level"] == "error" and "surprise" in blocked[0]["error"]


@pytest.mark.slow
def test_the_broker_is_killed(tmp_path: Path) -> None:
    """A broker that dies and comes back is waited for: not ready meanwhile, all of it in the models after."""
    with PrivateRabbitMQ() as broker:
        project = a_project(tmp_path, {"type": "duckdb", "path": "warehouse.duckdb"}, broker.url)
        with up(project) as process:
            eventually(lambda: process.get("/readyz")[0], 200)
            send(project, [an_event("u1")])
            eventually(lambda: process.query(CURRENT.format("u1")), [["Initech"]])
            broker.kill()
            eventually(lambda: process.get("/readyz")[0], 503)
            assert process.get("/healthz")[0] == 200
            broker.start()
            eventually(lambda: process.get("/readyz")[0], 200)
            send(project, [an_event("u2")])
            eventually(lambda: process.query(CURRENT.format("u2")), [["Initech"]])
            assert process.end() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("project", "messages"),
    [("duckdb", 600), pytest.param("postgres", 3_000, marks=pytest.mark.slow)],
    indirect=["project"],
)
def test_stopped_under_load(project: Path, messages: int) -> None:
    """SIGTERM while messages come and models are built: 0, what is acknowledged is in the table once, the rest is in
    the queue, and the next start does it."""
    settings = load_project(project).sources["event_queue"]
    assert isinstance(settings, RabbitMQ)
    declare(settings)
    with up(project) as process:
        eventually(lambda: process.get("/readyz")[0], 200)
        for start in range(0, messages, messages // 3):
            send(project, [an_event(f"u{n}") for n in range(start, start + messages // 3)])
        assert process.end() == 0, process.said()
    counted = call(project, "query", "select count(*) as n from raw.user_events where id like 'u%'", "--json")
    landed = json.loads(counted.stdout)[0]["n"] if counted.returncode == 0 else 0
    assert landed + waiting(settings) == messages
    with up(project) as process:
        eventually(
            lambda: process.query("select count(*) from dimensional.dim_user where user_id like 'u%'"), [[messages]]
        )
        assert process.end() == 0


@pytest.mark.slow
def test_the_shell_beside_it(embedded: Path) -> None:
    """Both at one DuckDB file: the prompt asks the process, and says what only one of them can do."""
    with up(embedded) as process:
        eventually(lambda: process.get("/readyz")[0], 200)
        send(embedded, [an_event("u1")])
        eventually(lambda: process.query(CURRENT.format("u1")), [["Initech"]])
        typed = f"status\n{CURRENT.format('u1')};\nload\nselect count(*) as n from raw.user_events where id = 'u1';\n"
        done = subprocess.run(
            [sys.executable, "-m", "penstock", "shell", "--project-dir", str(embedded)],
            input=typed, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert "Initech" in done.stdout and "1" in done.stdout.split() and "reports.user_events_daily" in done.stdout
        assert "the warehouse is held by process" in done.stderr
        assert process.end() == 0
