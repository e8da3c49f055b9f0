"""``penstock up`` over Iceberg tables: messages and files come, Spark builds the models that follow, in one process."""

from __future__ import annotations

import json
from ipaddress import IPv6Address, ip_address
from pathlib import Path

import pytest

from tests.support.processes import family, listening, lives, wait_until
from tests.support.spark_models import edit, spark_jars
from tests.support.up import a_project, an_event, call, eventually, send, up

pytestmark = pytest.mark.timeout(600)

CURRENT = "select organization_name from dimensional.dim_user where user_id = '{}' and is_current"


@pytest.fixture
def project(tmp_path: Path, rabbitmq_url: str, prepared_postgres_url: str) -> Path:
    """The example in a folder of its own, its events by queue too, its tables in a lake."""
    lake = {
        "type": "spark",
        "ledger": "books",
        "warehouse": "lake",
        "spark": {"master": "local[2]", "jars": spark_jars(), "conf": {"spark.driver.memory": "1g"}},
    }
    folder = a_project(tmp_path, lake, rabbitmq_url)
    books = {"books": {"type": "postgres", "url": prepared_postgres_url}}
    edit(
        folder / "penstock.yml",
        lambda settings: settings["destinations"].update(books) or settings.update(target="here"),
    )
    return folder


def on_loopback(address: str) -> bool:
    """Whether an address, also one of IPv4 in the form of IPv6, is of loopback."""
    parsed = ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return (mapped or parsed).is_loopback


def test_models_follow_messages_and_files(project: Path) -> None:
    """Events by queue and by file are in ``dim_user``; figures and status say so while it runs; nothing listens but on
    loopback; SIGTERM ends it with 0, and Spark with it."""
    with up(project) as process:
        eventually(lambda: process.get("/readyz")[0], 200)
        send(project, [an_event("u1"), an_event("u2"), an_event("u1")])
        eventually(lambda: process.query(CURRENT.format("u1")), [["Initech"]])
        send(project, [an_event("u1", "User Updated", "2025-05-02T10:00:00", organization_name="Hooli")])
        (project / "data" / "user_events" / "more.ndjson").write_text(json.dumps(an_event("u9")) + "\n")
        eventually(lambda: process.query(CURRENT.format("u1")), [["Hooli"]])
        eventually(lambda: process.query(CURRENT.format("u9")), [["Initech"]])
        figures = process.figures()
        assert figures["penstock_records_duplicate_total", "user_events"] == 2  # one of them in the example's files
        assert figures["penstock_transform_failures_total", ""] == 0
        shown = call(project, "status")
        assert shown.returncode == 0 and "consume user_events event_queue" in shown.stdout, shown.stderr
        members = family(process.process.pid)
        assert len(members) > 1
        assert [address for address in listening(members) if not on_loopback(address)] == []
        assert process.end() == 0, process.said()
        wait_until(lambda: not any(lives(pid) for pid in members), "Spark goes on")
