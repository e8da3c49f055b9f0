"""The runbook's procedures, done as it says; and that it has one for all that can raise an alarm."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from penstock.scaffold import create_project
from penstock.testing.postgres import server_binaries
from penstock.testing.private import MissingServer
from penstock.up.metrics import metric_catalogue
from tests.support import commands
from tests.support.documents import DOCS, Reader, free_port, libpq_environment

RUNBOOK = DOCS / "runbook.md"
RULES = DOCS / "assets" / "alerts.yml"

WORTH_AN_ALARM = re.compile(
    r"lag_|failures|restarts|part_up|blocked|connected|quarantine|behind|last_run_success|breaker|_next_|lineage"
)
"""Names of metrics that say by themselves that something is wrong. The others say how much there is, and how fast."""

POSTGRES = """
  production:
    type: postgres
    host: ${PGHOST}
    port: ${PGPORT}
    user: ${PGUSER}
    password: ${PGPASSWORD}
    database: ${PGDATABASE}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with three good events, and nothing landed yet."""
    folder = tmp_path / "shop"
    create_project(folder)
    settings = (folder / "penstock.yml").read_text(encoding="utf-8")
    settings = settings.replace("destinations:\n", f"target: local\ndestinations:{POSTGRES}")
    (folder / "penstock.yml").write_text(settings, encoding="utf-8")
    return folder


def test_every_alert_has_an_entry() -> None:
    """Under its name, as messages have it; and none that there is not."""
    from penstock.alerts.catalogue import ALERTS

    headings = re.findall(r"^### `(\w+)`$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(ALERTS)


def test_alerting_rules_go_by_metrics_that_are_there() -> None:
    """Prometheus' file names metrics that Penstock has, and all that are worth an alarm."""
    rules = [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    known = {metric.name: metric for metric in metric_catalogue()}
    used = {name for rule in rules for name in re.findall(r"\bpenstock_\w+", rule["expr"])}
    assert used <= set(known)
    assert used >= {name for name in known if WORTH_AN_ALARM.search(name) and known[name].type != "histogram"} - LEDGER
    for rule in rules:
        labels = {label for name in used if name in rule["expr"] for label in known[name].labels} | {"instance"}
        named = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
        assert set(named) <= labels, rule["alert"]


LEDGER = {"penstock_ledger_records_quarantined_total"}
"""The same as the process counts, since the beginning."""


def test_every_rule_has_an_entry() -> None:
    """The runbook says what to do for each, under the heading that the rule names."""
    text = RUNBOOK.read_text(encoding="utf-8")
    anchors = {re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    rules = [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    assert set(re.findall(r"`(Penstock\w+)`", text)) == {rule["alert"] for rule in rules}
    for rule in rules:
        assert rule["annotations"]["runbook"].removeprefix("runbook.md#") in anchors, rule["alert"]
        assert {"alert", "expr", "labels", "annotations"} <= set(rule)


def test_first_look_stop_and_start(project: Path) -> None:
    """What to look at first answers; a start is ready, and a stop lands what is in hand."""
    penstock(project, "load")
    with Reader(project) as reader:
        reader.follow(RUNBOOK, section="First")
        reader.follow(RUNBOOK, {"9464": str(free_port())}, section="Stop and start")


def test_undo_a_load(project: Path) -> None:
    """Rows and rejects of a wrong file go, those of others stay, and the file does not come back."""
    penstock(project, "load")
    wrong = [
        '{"event": "signed_up", "visitor": "test-1", "happened_at": "2025-03-04 08:00:00"}',
        '{"event": "signed_up", "visitor": "test-2", "happened_at": "2025-03-04 08:01:00"}',
        "no json",
    ]
    file = project / "data" / "events" / "wrong.ndjson"
    file.write_text("\n".join(wrong), encoding="utf-8")
    penstock(project, "load")
    content = file.read_bytes()
    with Reader(project) as reader:
        reader.follow(RUNBOOK, section="Undo a load")
    assert one(project, "select count(*) from raw.events where visitor like 'test%'") == "0"
    file.write_bytes(content)
    assert "0 rows landed" in penstock(project, "load")
    assert one(project, "select count(*) from raw.events") == "3"
    assert "quarantine: empty" in penstock(project, "quarantine", "list")


@pytest.mark.slow
def test_back_up_and_restore(project: Path, postgres_url: str) -> None:
    """A warehouse that was restored holds what it held, and is read on from there, on either engine."""
    environment = libpq_environment(postgres_url) | {"PATH": f"{_postgres_programs()}{os.pathsep}{os.environ['PATH']}"}
    penstock(project, "load", "--target", "production", environment=environment)
    penstock(project, "load")
    with Reader(project, environment) as reader:
        try:
            reader.follow(RUNBOOK, section="Back up and restore")
            restored = environment | {"PGDATABASE": "warehouse_restored"}
            counted = "select count(*), max(_pen_load) from raw.events"
            assert one(project, counted, "--target", "production", environment=restored) == "3,1"
            again = penstock(project, "load", "--target", "production", environment=restored)
            assert "0 rows landed, nothing new" in again
        finally:
            subprocess.run(["dropdb", "--if-exists", "warehouse_restored"], env=os.environ | environment, check=True)
    assert one(project, counted) == "3,1"


@pytest.mark.parametrize("section", ["The disk is full", "Quarantine grows"])
def test_quarantine(project: Path, section: str) -> None:
    """What is said about quarantine is done to it: the dropped is deleted, the waiting is replayed and stays."""
    (project / "data" / "events" / "bad.ndjson").write_text("no json\n", encoding="utf-8")
    penstock(project, "load")
    if section == "The disk is full":
        penstock(project, "quarantine", "drop", "--all")
    with Reader(project) as reader:
        reader.follow(RUNBOOK, section=section)
    left = "0" if section == "The disk is full" else "1"
    assert one(project, "select count(*) from penstock.quarantine") == left


def penstock(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """What a command prints; it has to go well."""
    done = commands.penstock(folder, *arguments, environ=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def one(folder: Path, sql: str, *options: str, environment: Mapping[str, str] | None = None) -> str:
    """The only row of an answer, as CSV."""
    return penstock(folder, "query", "--csv", sql, *options, environment=environment).splitlines()[1]


def _postgres_programs() -> str:
    """The folder of pg_dump that belongs to the server, as an older one refuses; else what is on the path."""
    try:
        return str(server_binaries())
    except MissingServer:
        return os.defpath
