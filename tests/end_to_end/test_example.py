"""The example, whole, on both destinations: the facts of the real sample, and the laws of the models."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support import commands
from tests.support.example import EXAMPLE, LAYERS, ROOT

LOAD_COLUMNS = {"_pen_load", "_pen_loaded_at"}
"""What tells one load from another, and so one engine's run from the other's."""


def _sample() -> Path:
    """The folder of the real input. It stands beside the repository, or where the variable says."""
    given = os.environ.get("PENSTOCK_SAMPLE_DIR")
    return Path(given) if given else ROOT.parent / "shared" / "data" / "challenge"


sample = pytest.mark.skipif(
    not _sample().is_dir() and not os.environ.get("CI"), reason="the real sample is not on this machine"
)


class Project:
    """The example in a folder of its own, run by its command line."""

    def __init__(self, folder: Path, target: str, url: str) -> None:
        self.folder = folder
        self.target = target
        host, _, rest = url.removeprefix("postgresql://").partition("@")[2].partition(":")
        port, _, database = rest.partition("/")
        self.environ = {
            **os.environ,
            "PGHOST": host,
            "PGPORT": port,
            "PGUSER": "postgres",
            "PGPASSWORD": "not-a-secret",
            "PGDATABASE": database,
        }
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".penstock", "*.duckdb*", "target", "logs"))

    def use(self, events: Path, organizations: Path) -> None:
        """Put other input in place of the example's own."""
        for name, path in (("user_events", events), ("organizations", organizations)):
            shutil.rmtree(self.folder / "data" / name)
            (self.folder / "data" / name).mkdir()
            shutil.copy(path, self.folder / "data" / name)

    def penstock(self, *arguments: str) -> Any:
        """Run a command with ``--json`` and give what it printed."""
        done = commands.penstock(self.folder, *arguments, "--json", "--target", self.target, environ=self.environ)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return [tuple(row.values()) for row in self.penstock("query", sql)]

    def tables(self) -> dict[str, list[str]]:
        """Every raw and model table → its rows as text, in one order, without what tells loads apart."""
        from penstock import Session, load_project

        before = {name: os.environ.get(name) for name in self.environ}
        os.environ.update(self.environ)
        try:
            project = load_project(self.folder, target=self.target)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
        with Session(project) as session:
            names = session.destination.query(
                "select table_schema, table_name from information_schema.tables"
                f" where table_schema in ({', '.join(repr(s) for s in LAYERS)})"
            ).rows
            found = {}
            for schema, name in names:
                if name.endswith("__delta"):
                    continue
                answer = session.destination.query(f'select * from {schema}."{name}"')
                kept = [i for i, c in enumerate(answer.columns) if c not in LOAD_COLUMNS]
                rows = [repr([(answer.columns[i], _plain(row[i])) for i in kept]) for row in answer.rows]
                found[f"{schema}.{name}"] = sorted(rows)
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else str(value.normalize())
    if isinstance(value, dt.datetime) and value.tzinfo:
        return value.astimezone(dt.UTC).isoformat()
    return str(value) if hasattr(value, "hex") and not isinstance(value, float) else value


@pytest.fixture(params=["local", "production"])
def project(request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str) -> Iterator[Project]:
    """The example on each destination in turn."""
    yield Project(tmp_path / "project", request.param, postgres_url)


@sample
@pytest.mark.parametrize("project", [pytest.param("local", marks=pytest.mark.slow), "production"], indirect=True)
def test_facts_of_the_real_sample(project: Project) -> None:
    """36 events and 20 organisations give the versions, the days and the closings that they are known to."""
    project.use(_sample() / "events_sample.json", _sample() / "orgs_sample.json")
    report = project.penstock("run")
    counts = {
        load["stream"]: [load[n] for n in ("read", "landed", "duplicates", "quarantined")] for load in report["loads"]
    }
    assert counts == {"user_events": [36, 35, 1, 0], "organizations": [20, 20, 0, 0]}
    nodes = report["transform"]["nodes"]
    ended = {(node["kind"], node["status"]) for node in nodes if node["kind"] != "exposure"}
    assert ended <= {("model", "success"), ("test", "pass"), ("unit_test", "pass"), ("unit_test", "success")}

    versions = (
        "select count(*) as versions, count(distinct user_id) as users, count(*) filter (where is_current) as current"
        " from dimensional.dim_user"
    )
    assert project.rows(versions) == [(28, 21, 14)]
    assert project.rows("select event_date, users_at_end from dimensional.fct_user_daily order by 1") == [
        (f"2020-12-{day:02}", users) for day, users in zip(range(5, 12), (2, 5, 11, 18, 17, 16, 14), strict=True)
    ]
    zeus = project.rows(
        "select count(*), max(valid_to), count(*) filter (where is_current)"
        " from dimensional.dim_user where username = 'Zeus'"
    )
    assert zeus == [(3, "2020-12-10T20:03:16.759617", 0)]
    assert project.rows("select count(*) from dimensional.dim_user where username = 'Sully'") == [(2,)]
    assert project.rows("select count(*) from raw.user_events where length(id) = 33")[0][0] >= 1
    assert project.rows("select count(*) from dimensional.dim_user where length(user_id) = 33")[0][0] >= 1

    again = project.penstock("run")
    assert [load["landed"] for load in again["loads"]] == [0, 0]
    assert again["transform"]["nodes"] == []


@sample
@pytest.mark.slow
def test_day_by_day_and_full_refresh_give_the_same_tables(project: Project, tmp_path: Path, postgres_url: str) -> None:
    """Laws 4 and 6: the week in another order, day by day, equals it at once, and equals it built anew."""
    project.use(_sample() / "events_sample.json", _sample() / "orgs_sample.json")
    for day in (9, 5, 11, 7):
        project.penstock("run", "--date", f"2020-12-{day:02}")
    project.penstock("backfill", "--from", "2020-12-05", "--to", "2020-12-11")
    assert project.penstock("backfill", "--from", "2020-12-05", "--to", "2020-12-11")["transform"]["nodes"] == []
    step_by_step = project.tables()
    project.penstock("transform", "--full-refresh")
    assert project.tables() == step_by_step
    once = Project(tmp_path / "once", "local", postgres_url)
    once.use(_sample() / "events_sample.json", _sample() / "orgs_sample.json")
    once.penstock("run")
    assert once.tables() == step_by_step


@pytest.mark.slow
def test_two_engines_hold_the_same(tmp_path: Path, postgres_url: str) -> None:
    """Law 7: after the example, every raw and model table is the same on both destinations, and every answer."""
    seen = []
    answers = []
    for target in ("local", "production"):
        project = Project(tmp_path / target, target, postgres_url)
        project.penstock("run")
        seen.append(project.tables())
        answers.append(project.penstock("ask", "--all"))
    assert answers[0] == answers[1]
    _check_answers({a["name"]: a for a in answers[0]}, tmp_path / "local")
    assert set(seen[0]) >= {"raw.user_events", "dimensional.dim_user", "reports.user_events_daily", "crm.users_dim"}
    assert seen[0] == seen[1]


def _check_answers(answers: dict[str, Any], folder: Path) -> None:
    """The questions' numbers against the example's files, counted here."""
    events: dict[str, dict[str, Any]] = {}
    for path in (folder / "data" / "user_events").iterdir():
        text = path.read_text(encoding="utf-8")
        for line in [json.dumps(r) for r in json.loads(text)] if text.startswith("[") else text.splitlines():
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                events[json.dumps(record, sort_keys=True)] = record
    assert [a["problem"] for a in answers.values()] == [None] * 7
    days = Counter((e["received_at"][:10], e.get("event_type") or "(unknown)") for e in events.values())
    assert {(r["event_date"], r["event_type"]): r["events"] for r in answers["events_by_type"]["rows"]} == days
    for name, field in (("events_by_organization", "organization_name"), ("events_by_user_type", "user_type")):
        counted = Counter(e.get(field) or "(unknown)" for e in events.values())
        assert {r[field]: r["events"] for r in answers[name]["rows"]} == counted
    created, deleted = (
        Counter(day for (day, kind), n in days.items() for _ in range(n) if kind == f"User {word}")
        for word in ("Created", "Deleted")
    )
    users = 0
    expected = []
    for day in sorted({day for day, _ in days}):
        users += created[day]
        expected.append((day, users - deleted[day], _percent(deleted[day], users)))
        users -= deleted[day]
    by_day = [tuple(r.values()) for r in answers["users_by_day"]["rows"]]
    assert by_day == [(day, at_end) for day, at_end, _ in expected]
    churn = [tuple(r.values()) for r in answers["churn"]["rows"]]
    assert churn == [(day, percent) for day, _, percent in expected]
    assert answers["users_now"]["rows"] == [{"users_at_end": users}]


def _percent(part: int, whole: int) -> float:
    return float((Decimal(100 * part) / whole).quantize(Decimal("0.1"), ROUND_HALF_UP))


@pytest.mark.slow
def test_questions_on_the_command_line(tmp_path: Path, postgres_url: str) -> None:
    """Asked without starting dbt; a wrong one is named and breaks no other; the report is one file."""
    project = Project(tmp_path / "project", "local", postgres_url)
    project.penstock("load")
    project.penstock("transform")
    questions = project.folder / "questions"
    (questions / "08_gone.sql").write_text("-- question: Gone?\n-- show: table\nselect * from {{ ref('gone') }}\n")
    (questions / "09_wrong.sql").write_text("-- question: Wrong?\n-- show: tabel\nselect 1\n")
    (questions / "10_who.sql").write_text(
        "-- question: Who?\n-- show: table\nselect username from {{ ref('dim_user') }} where is_current limit 1\n"
    )
    file = project.folder / "penstock.yml"
    file.write_text(file.read_text().replace("    identity: content ", "    pii: [username]\n    identity: content "))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return commands.penstock(project.folder, *arguments, environ=project.environ)

    code = (
        "import sys; from penstock.cli.app import app\n"
        "app(['ask', 'users_now', 'users_by_day'], standalone_mode=False)\n"
        "sys.exit('dbt was started' if 'dbt.cli.main' in sys.modules else 0)"
    )
    warm = subprocess.run([sys.executable, "-c", code], cwd=project.folder, capture_output=True, text=True, check=False)
    assert warm.returncode == 0, warm.stderr
    assert "2025-03-04  " in warm.stdout
    assert "█ 22" in warm.stdout

    listed = run("ask")
    assert (listed.returncode, listed.stdout.count("\n ")) == (0, 12)
    assert "questions/09_wrong.sql:2: `show` is 'tabel'\n  fix: did you mean table?" in listed.stderr
    done = run("ask", "--all")
    assert done.returncode == 2
    assert "questions/08_gone.sql: there is no model 'gone'" in done.stderr
    assert "Cobalt Freight" in done.stdout
    assert "*****" in done.stdout
    assert "*****" not in run("ask", "who", "--show-pii").stdout
    assert '"dimensional"."fct_user_daily"' in run("ask", "users_now", "--sql").stdout

    made = run("report")
    assert made.returncode == 2
    assert "there is no model 'gone'" in made.stderr
    page = (project.folder / "report.html").read_text(encoding="utf-8")
    assert page.count("<strong>No answer.</strong>") == 2
    assert page.count('<svg class="wide"') == 5
    assert '<td class="short">*****</td>' in page
    assert "raw.organizations" in page
    (project.folder / "models" / "reports" / "late.sql").write_text("select 1 as n")
    (questions / "08_gone.sql").write_text("-- question: Late?\n-- show: table\nselect * from {{ ref('late') }}\n")
    assert "penstock run, which builds late" in run("ask", "gone").stderr
    assert run("report", "users_now", "-o", "missing/report.html").returncode == 2


@pytest.mark.slow
def test_models_wait_for_a_stream_that_has_not_landed(tmp_path: Path, postgres_url: str) -> None:
    """What reads it is left out, not failed; after its first load all is as if it had landed with the others."""
    late = Project(tmp_path / "late", "local", postgres_url)
    late.penstock("load", "user_events")
    late.penstock("transform")
    assert late.rows("select count(*) from snapshots.user_snapshot")[0][0] > 0
    assert not late.rows("select 1 from information_schema.tables where table_name = 'dim_organization'")
    late.penstock("load", "organizations")
    late.penstock("transform")
    whole = Project(tmp_path / "whole", "local", postgres_url)
    whole.penstock("run")
    assert late.tables() == whole.tables()
