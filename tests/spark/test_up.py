"""``penstock up`` over Iceberg tables: messages and files come, Spark builds the models that follow, in one process."""

from __future__ import annotations

import json
import re
from ipaddress import IPv6Address, ip_address
from pathlib import Path

import pytest

from penstock.testing.spark import spark_jars
from tests.support.processes import family, listening, lives, wait_until
from tests.support.spark_models import QUICK, edit
from tests.support.up import Up, a_project, an_event, call, send, up

pytestmark = pytest.mark.timeout(600)

SECRETS = (b"for-the-ledger", b"for-the-store")


@pytest.fixture
def project(tmp_path: Path, rabbitmq_url: str, prepared_postgres_url: str) -> Path:
    """The example in a folder of its own, its events by queue too, its tables in a lake."""
    lake = {
        "type": "spark",
        "ledger": "books",
        "warehouse": "lake",
        "tidy": {"schedule": "every 5s"},
        "spark": {
            "master": "local[2]",
            "jars": spark_jars(),
            "conf": {**QUICK, "spark.hadoop.fs.s3a.secret.key": "for-the-store"},
        },
    }
    folder = a_project(tmp_path, lake, rabbitmq_url)
    books = {"books": {"type": "postgres", "url": prepared_postgres_url.replace("@", ":for-the-ledger@")}}
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


def becomes(process: Up, user: str, organization: str) -> None:
    """Wait for a user to be of an organization."""
    current = f"select organization_name from dimensional.dim_user where user_id = '{user}' and is_current"
    wait_until(lambda: process.query(current) == [[organization]], process.said(), seconds=240)


def test_models_follow_messages_and_files(project: Path) -> None:
    """Events by queue and by file are in ``dim_user``; figures and status say so while it runs; nothing listens but on
    loopback, and no command line has a secret; tables are looked after meanwhile, each few seconds; SIGTERM ends it
    with 0, and Spark with it."""
    with up(project) as process:
        wait_until(lambda: process.get("/readyz")[0] == 200, "not ready", seconds=120)
        send(project, [an_event("u1"), an_event("u2"), an_event("u1")])
        becomes(process, "u1", "Initech")
        send(project, [an_event("u1", "User Updated", "2025-05-02T10:00:00", organization_name="Hooli")])
        (project / "data" / "user_events" / "more.ndjson").write_text(json.dumps(an_event("u9")) + "\n")
        becomes(process, "u1", "Hooli")
        becomes(process, "u9", "Initech")
        figures = process.figures()
        assert figures["penstock_records_duplicate_total", "user_events"] == 2  # one of them in the example's files
        assert figures["penstock_transform_failures_total", ""] == 0
        assert process.said().count("\n") == len(re.findall("^{", process.said(), re.MULTILINE))
        runs = (
            "select status, count(*) > 1 from penstock.runs where schedule = 'tidy' and ended_at is not null group by 1"
        )
        assert process.query(runs) == [["success", True]]
        shown = call(project, "status")
        assert shown.returncode == 0 and "consume user_events event_queue" in shown.stdout, shown.stderr
        members = family(process.process.pid)
        assert len(members) > 1
        assert [address for address in listening(members) if not on_loopback(address)] == []
        assert not [pid for pid in members if any(one in Path(f"/proc/{pid}/cmdline").read_bytes() for one in SECRETS)]
        assert process.end() == 0, process.said()
        wait_until(lambda: not any(lives(pid) for pid in members), "Spark goes on")
