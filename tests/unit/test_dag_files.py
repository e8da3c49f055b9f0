"""The pipelines of a project, and the DAG files made of them. What Airflow makes of those is in ``tests/airflow``."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from penstock.airflow.dag_files import FILES, Export, dag_texts, write_dags
from penstock.airflow.dags import penstock_dags
from penstock.airflow.pipeline import Asked, Timing, read_pipeline
from penstock.errors import PenstockError, ProjectError, UsageError
from penstock.project import DuckDB, load_project

EXAMPLES = Path(__file__).parents[2] / "examples"

PROJECT = """
name: shop
target: here
destinations:
  here: { type: duckdb, path: w.duckdb }
  there: { type: postgres }
sources:
  files: { type: files, path: data/** }
  queue: { type: rabbitmq, queue: q, url: "amqp://localhost" }
  second_queue: { type: rabbitmq, queue: q2, url: "amqp://localhost" }
  api:
    type: http
    base_url: http://localhost
    endpoints:
      asked_by_day: { path: a, windows: { params: "since={from}" } }
      asked_whole: { path: b }
streams:
  plain: { from: files }
  dated: { from: [files], event_time: at }
  replaced: { from: files, event_time: at, disposition: replace }
  queued: { from: queue, event_time: at }
  both: { from: [files, second_queue], event_time: at }
  asked_by_day: { from: api }
  asked_whole: { from: api }
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project with streams of each kind."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "penstock.yml").write_text(PROJECT)
    return tmp_path / "shop"


@pytest.mark.parametrize("example", sorted(p.parent for p in EXAMPLES.glob("*/penstock.yml")), ids=lambda p: p.name)
def test_the_examples_have_what_export_writes(example: Path) -> None:
    """The DAG files of the examples are those that ``penstock airflow export`` writes."""
    written = {p.name: p.read_text() for p in (example / "dags").glob("*.py")}
    assert written == dag_texts(example, example / "dags")


def test_commands(shop: Path) -> None:
    """Each stream has its command: with dates where they are taken, and queues are drained."""
    load_project(shop, environ={})
    found = read_pipeline(shop)
    (loads,) = found.loads
    assert (loads.suffix, loads.timing) == ("", found.timing) and found.timing.cron == "@daily"
    assert [(t.id, t.command, t.dated) for t in loads.tasks] == [
        ("load_plain", "load plain", False),
        ("load_dated", "load dated", True),
        ("load_replaced", "load replaced", False),
        ("consume_queued", "consume queued --until-empty", False),
        ("load_both", "load both", True),
        ("consume_both", "consume both --until-empty", False),
        ("load_asked_by_day", "load asked_by_day", True),
        ("load_asked_whole", "load asked_whole", False),
    ]
    assert found.transforms == ()
    assert set(dag_texts(shop, shop)) == {FILES[0]}


def test_destinations(shop: Path) -> None:
    """On a DuckDB file tasks follow each other, and wait for it; on PostgreSQL they need not."""
    found = read_pipeline(shop)
    assert found.one_at_a_time
    destination = load_project(shop, environ=found.environment).destination
    assert isinstance(destination, DuckDB) and destination.lock_timeout_seconds == 1800
    named = read_pipeline(shop, target="there")
    assert (named.one_at_a_time, named.environment) == (False, {})
    assert all(t.words[-2:] == ("--target", "there") for t in (*named.loads[0].tasks, named.loaded))


def test_environments(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fits one kind of destination is not said where an environment has another under the same name."""
    monkeypatch.delenv("PENSTOCK_ENV", raising=False)
    (shop / "penstock.production.yml").write_text("destinations: { here: { type: postgres } }\n")
    found = read_pipeline(shop)
    assert found.one_at_a_time and found.environment == {}
    monkeypatch.setenv("PENSTOCK_ENV", "production")
    found = read_pipeline(shop)
    assert not found.one_at_a_time and found.environment == {}
    monkeypatch.delenv("PENSTOCK_ENV")
    (shop / "penstock.production.yml").write_text("target: there\n")
    found = read_pipeline(shop)
    assert found.one_at_a_time and len(found.environment) == 1  # which changes nothing where it is not the target
    load_project(shop, environ={**found.environment, "PENSTOCK_ENV": "production"})
    (shop / "penstock.test.yml").write_text("destinations: { here: { path: other.duckdb } }\n")
    monkeypatch.setenv("PENSTOCK_ENV", "test")
    found = read_pipeline(shop)
    assert found.one_at_a_time and len(found.environment) == 1


def timed(shop: Path, schedule: str, **streams: str) -> Path:
    """The project with schedules: its own, and those of streams."""
    text = f"{PROJECT}schedule: {schedule}\n" if schedule else PROJECT
    for name, own in streams.items():
        text = text.replace(f"  {name}: {{ ", f"  {name}: {{ schedule: {own}, ")
    (shop / "penstock.yml").write_text(text)
    load_project(shop, environ={})
    return shop


@pytest.mark.parametrize(
    ("schedule", "timing"),
    [
        ("", Timing(cron="@daily")),
        ('"30 5 * * mon-fri"', Timing(cron="30 5 * * mon-fri")),
        ("every 5m", Timing(every=timedelta(minutes=5))),
        ("{ every: 1h30m }", Timing(every=timedelta(minutes=90))),
        (
            "{ cron: '@hourly', timezone: Europe/Oslo, retries: 1, retry_delay: 10s, jitter: 5s }",
            Timing(cron="@hourly", timezone="Europe/Oslo", retries=1, retry_delay=timedelta(seconds=10)),
        ),
    ],
)
def test_the_projects_schedule(shop: Path, schedule: str, timing: Timing) -> None:
    """What the project says goes, unless the caller says something else."""
    timed(shop, schedule)
    assert read_pipeline(shop).timing == timing
    (said,) = read_pipeline(shop, asked=Asked(schedule="every 2h", retries=7)).loads
    assert (said.timing.cron, said.timing.every, said.timing.retries) == (None, timedelta(hours=2), 7)
    assert read_pipeline(shop, asked=Asked(schedule=None)).timing.by_hand
    assert read_pipeline(shop, asked=Asked(timezone="Asia/Tokyo")).timing == replace(timing, timezone="Asia/Tokyo")


def test_schedules_of_streams(shop: Path) -> None:
    """A stream with a schedule of its own has a DAG of its own; one without any, by ``false``, has none. One schedule
    for all streams is one DAG."""
    timed(shop, "every 2h", plain='"@hourly"', both="every 5m", replaced="false")
    project, plain, both = read_pipeline(shop).loads
    assert [t.id for t in project.tasks] == ["load_dated", "consume_queued", "load_asked_by_day", "load_asked_whole"]
    assert (plain.suffix, plain.timing.cron, [t.id for t in plain.tasks]) == ("_plain", "@hourly", ["load_plain"])
    assert (both.suffix, both.timing.every) == ("_both", timedelta(minutes=5))
    assert [t.id for t in both.tasks] == ["load_both", "consume_both"]
    assert len(read_pipeline(shop, asked=Asked(schedule="@daily")).loads[0].tasks) == 8
    text = dag_texts(shop, shop / "dags")[FILES[0]]
    assert text.count("with DAG(") == 3 and 'f"{NAME}_extract_load_both"' in text
    assert "DeltaDataIntervalTimetable(timedelta(seconds=300))" in text


def test_the_schedule_of_an_environment(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made in an environment, DAGs have the schedule of that environment's file."""
    timed(shop, "{ cron: '@hourly', timezone: Europe/Oslo }")
    (shop / "penstock.production.yml").write_text("schedule: { cron: '@weekly' }\n")
    monkeypatch.delenv("PENSTOCK_ENV", raising=False)
    assert read_pipeline(shop).timing.cron == "@hourly"
    monkeypatch.setenv("PENSTOCK_ENV", "production")
    assert read_pipeline(shop).timing == Timing(cron="@weekly", timezone="Europe/Oslo")


@pytest.mark.parametrize("said", ["every fortnight", "${WHEN_NOT_SET}", "{ retries: [] }", "every 0s"])
def test_schedules_that_make_no_dag(shop: Path, said: str) -> None:
    """What makes no schedule is said, with the file; so is what the caller says that makes none."""
    (shop / "penstock.yml").write_text(f"{PROJECT}schedule: {said}\n")
    with pytest.raises(ProjectError, match="schedule") as caught:
        read_pipeline(shop)
    assert caught.value.where.startswith(str(shop / "penstock.yml"))
    (shop / "penstock.yml").write_text(PROJECT)
    for schedule in ("every fortnight", timedelta()):
        with pytest.raises(UsageError, match="schedule: "):
            read_pipeline(shop, asked=Asked(schedule=schedule))


def test_variables(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What variables say of a schedule is known, by the environment or by .env; how sources and destinations are
    reached may be known where the tasks run only."""
    reached = PROJECT.replace("type: postgres", "type: postgres, password: '${PW}'")
    reached = reached.replace("http://localhost", "'${API}'").replace("data/**", "'${DATA}/**'")
    reached = reached.replace('"amqp://localhost"', "'amqp://u:${PW}@host'")
    (shop / "penstock.yml").write_text(
        f"{reached}schedule: '${{WHEN:-@daily}}'\nnotify: [{{ webhook: '${{HOOK}}' }}]\n"
    )
    for name in ("PW", "API", "DATA", "HOOK", "WHEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ProjectError, match="not set"):
        load_project(shop)
    for target in (None, "there"):
        plan = read_pipeline(shop, target=target)
        assert plan.timing.cron == "@daily" and len(plan.loads[0].tasks) == 8
        assert plan.one_at_a_time == (target is None)
    (shop / ".env").write_text("WHEN=@hourly\n")
    assert read_pipeline(shop).timing.cron == "@hourly"


def test_nothing_to_schedule(shop: Path) -> None:
    """A project whose streams are all out of any schedule says so."""
    (shop / "penstock.yml").write_text(re.sub(r"(?m)^(  \w+: {) (from: (?!f?$))", r"\1 schedule: false, \2", PROJECT))
    with pytest.raises(ProjectError, match="schedule: false"):
        read_pipeline(shop)
    assert read_pipeline(shop, asked=Asked(schedule=None)).loads[0].timing.by_hand


def test_layers_or_one(shop: Path) -> None:
    """One command a layer, in order; or one for all; or none when the project says so."""
    (shop / "models" / "b").mkdir(parents=True)
    (shop / "models" / "a").mkdir()
    (shop / "models" / "b" / "first.sql").write_text("select 1")
    (shop / "models" / "a" / "second.sql").write_text("select * from {{ ref('first') }}")
    (shop / "dbt_project.yml").write_text("name: shop\n")
    assert [t.command for t in read_pipeline(shop).transforms] == [
        "transform --layer b --nodes",
        "transform --layer a --nodes",
    ]
    assert [t.command for t in read_pipeline(shop, layers=False).transforms] == ["transform --nodes"]
    (shop / "penstock.yml").write_text(PROJECT + "transform: false\n")
    assert read_pipeline(shop).transforms == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PROJECT.replace("name: shop", ""), "`name`"),
        (PROJECT.replace("name: shop", "name: Has Spaces"), "name"),
        (PROJECT.partition("streams:")[0], "has no stream"),
        ("name: [", "not YAML"),
        ("- a list", "mapping|settings"),
    ],
)
def test_wrong_projects(shop: Path, text: str, said: str) -> None:
    """What is wrong with a project file is said, with the file."""
    (shop / "penstock.yml").write_text(text)
    with pytest.raises(ProjectError, match=said) as caught:
        read_pipeline(shop)
    assert caught.value.where.startswith(str(shop / "penstock.yml"))


def test_no_project(tmp_path: Path) -> None:
    """Nor is a missing project silent."""
    with pytest.raises(ProjectError, match=r"there is no penstock\.yml"):
        read_pipeline(tmp_path)


def test_the_text_says_what_was_asked_for(shop: Path) -> None:
    """Odd values stay values: quotes and braces in a command or a path do not become code."""
    odd = Export(penstock="/o'p\"t/{x}/penstock", project_path="/srv/{a}'\"b", schedule=None, target="there")
    (text,) = dag_texts(shop, shop / "elsewhere", odd).values()
    tree = ast.parse(text)
    names = {
        n.targets[0].id: n.value for n in tree.body if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)
    }
    assert ast.literal_eval(names["PENSTOCK"]) == odd.penstock
    assert ast.unparse(names["DIRECTORY"]) == f"Path({odd.project_path!r})"
    assert "schedule=None" in text
    imported = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert not any("penstock" in ast.unparse(n) for n in imported)


def test_export(shop: Path) -> None:
    """``penstock airflow export`` writes and prints the files; files of someone else's are left alone."""

    def export(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "penstock", "airflow", "export", "--project-dir", str(shop), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    done = export("--schedule", "@hourly", "--retry-delay", "1.5")
    path = shop / "dags" / FILES[0]
    assert (done.returncode, done.stdout) == (0, f"{path}\n"), done.stderr
    text = path.read_text()
    assert '"@hourly"' in text and "timedelta(seconds=1.5)" in text and "parents[1]" in text
    assert export().returncode == 0 and '"@daily"' in path.read_text()
    path.write_text("# mine")
    refused = export()
    assert refused.returncode == 2 and "--force" in refused.stderr and path.read_text() == "# mine"
    assert export("--force").returncode == 0 and path.read_text() != "# mine"
    assert export("--start-date", "1st of May").returncode == 2
    assert export("--force", "--start-date", "2025-01-01T06:00:00+00:00").returncode == 0
    assert 'pendulum.parse("2025-01-01T06:00:00+00:00")' in path.read_text()


def test_refused_values(shop: Path) -> None:
    """A folder that is a file, and numbers below zero, are wrong calls."""
    (shop / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot be written"):
        write_dags(shop, shop / "file")
    with pytest.raises(PenstockError, match="count from 0"):
        penstock_dags(shop, retries=-1)
