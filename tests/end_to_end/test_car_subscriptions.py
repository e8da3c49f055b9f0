"""The example of car subscriptions, whole: from the API to the marts, day by day, on both destinations."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from penstock.cli.app import app
from penstock.report.asking import answer, asking
from penstock.report.models import Models
from penstock.report.questions import read_questions
from penstock.samples.cars import feeds
from penstock.samples.conditions import Conditions
from penstock.samples.fault_rules import parse_faults
from penstock.samples.moments import moment_of
from penstock.samples.sample_server import SampleServer
from penstock.samples.texts import page
from tests.support import commands
from tests.support.car_marts import Company, Row, parsed, plain
from tests.support.car_project import EXAMPLE, CarProject, expected

RECORDS, SPAN = 1_400, 100
"""As many a day as the sample has by default, for a hundred days."""
UNSAFE = "select model, reason from penstock_changes.models where reason <> ''"
"""The models that are built whole although they ask for less, and why."""
STEPS = (("2024-03-15", ""), ("2024-03-17", "500@1,truncate@2,reset@3"), (None, "429@2"))
"""The days on which there is a load, the last one when the API shows all it has; and what goes wrong meanwhile."""


class Api:
    """The API as it was on one day after the other, always at one address."""

    def __init__(self) -> None:
        self._server: SampleServer | None = None
        self._port = 0
        self.show(None)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    def show(self, day: str | None, faults: str = "") -> None:
        """Have it as it was at the end of a day; with all there is, when there is none."""
        self.stop()
        conditions = Conditions(faults=parse_faults([faults]))
        self._server = SampleServer.of("cars", conditions, port=self._port, records=RECORDS, days=SPAN, as_of=_end(day))
        self._port = int(self._server.url.rpartition(":")[2])

    def stop(self) -> None:
        """Let go of the address."""
        if self._server is not None:
            self._server.stop()


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    """The API, stopped at the end."""
    found = Api()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def once(api: Api, tmp_path_factory: pytest.TempPathFactory) -> CarProject:
    """All that the API has, landed by one command for each stream, and the models built in one go."""
    api.show(None)
    project = CarProject(tmp_path_factory.mktemp("once") / "project", api=api.url)
    for stream in ("subscriptions", "cars", "customers"):
        report = _penstock(project, "load", stream)
        assert [load["stream"] for load in report["loads"]] == [stream]
        assert report["loads"][0]["landed"] > 0
    project.run()
    return project


def shown(day: str | None) -> dict[str, bytes]:
    """All that the API has shown up to the end of a day."""
    found = {}
    for feed in feeds(records=RECORDS, days=SPAN):
        chosen = feed.select(None, None, _end(day))
        found[feed.name] = page(feed.fields, feed.columns(chosen.numbers(0, len(chosen))), "ndjson")
    return found


def _end(day: str | None) -> int | None:
    return None if day is None else moment_of(day, end_of_day=True)


@pytest.mark.slow
def test_day_by_day_on_both_engines(api: Api, once: CarProject, tmp_path: Path, postgres_url: str) -> None:
    """After each day the marts are what Python calculates, whatever went wrong meanwhile; after the last, both engines
    hold the same tables, and the same as after one load of everything and after building everything anew."""
    stepwise = []
    answers = []
    for name, postgres in (("duckdb", None), ("postgres", postgres_url)):
        project = CarProject(tmp_path / name, api=api.url, postgres=postgres)
        assert project.settings().destination.type == name
        for day, faults in STEPS:
            api.show(day, faults)
            landed, built = project.run()
            assert all(load.total("landed") for load in landed)
            assert {n.status for n in built.nodes} <= {"success", "pass"}
            assert project.marts() == expected(shown(day)), f"{name}, {day}"
        landed, built = project.run()
        assert [load.total("landed") for load in landed] == [0, 0, 0]
        assert built.nodes == []
        assert project.rows(UNSAFE) == []
        stepwise.append(project.tables())
        answers.append(_answers(project))
    for table in ("core.sat_customer", "core.subscription_periods", "core.pit_customer", "marts.weekly_deliveries"):
        # rows of partitions that nothing touched are those that the first load wrote
        assert project.rows(f"select count(distinct xmin::text) >= {len(STEPS)} from {table}") == [(True,)], table
    project.run(full_refresh=True)
    assert project.tables() == stepwise[-1]
    assert set(stepwise[0]) >= {"raw.cars", "core.sat_customer_pii", "core.pit_customer", "marts.fleet_by_day"}
    assert stepwise[0] == stepwise[1]
    assert stepwise[0] == once.tables()
    assert answers[0] == answers[1]
    _check_answers(answers[0], expected(shown(None)))


def _answers(project: CarProject) -> dict[str, list[dict[str, Any]]]:
    """What the example's questions are answered, by their names."""
    settings = project.settings()
    models = Models(settings)
    with asking(settings) as query:
        found = [answer(q, query, models) for q in read_questions(settings.directory)]
    assert [a.problem for a in found] == [None] * 6
    return {a.question.name: a.records() for a in found}


def _check_answers(answers: dict[str, list[dict[str, Any]]], marts: dict[str, list[Row]]) -> None:
    """The questions' numbers are those of the marts as Python calculates them."""
    fleet = marts["fleet_by_day"]
    assert plain([tuple(r.values()) for r in answers["fleet_by_day"]]) == plain([(r[0], r[-1]) for r in fleet])
    assert answers["fleet_now"] == [{"fleet_size": max(fleet)[-1]}]
    delivered = [r[:3] for r in marts["weekly_deliveries"] if r[2]]
    assert plain([tuple(r.values()) for r in answers["weekly_deliveries"]]) == plain(delivered)
    assert plain([tuple(r.values()) for r in answers["greatest_increase"]]) == marts["weekly_greatest_increase"]
    terms = [(f"{months} months", kind, n) for months, kind, n, *_ in marts["customer_types_by_term"]]
    assert plain([tuple(r.values()) for r in answers["customer_types_by_term"]]) == plain(terms)
    shares = [(month, brand, share) for month, brand, kind, _, share in marts["active_customer_share"] if kind == "b2b"]
    assert plain([tuple(r.values()) for r in answers["active_customers"]]) == plain(shares)


def test_one_stream_after_the_other(once: CarProject) -> None:
    """``penstock load cars``, ``customers`` and ``subscriptions`` are three modes of one command, in any order."""
    assert once.marts() == expected(shown(None))


def test_every_model_is_built_as_it_asks(once: CarProject) -> None:
    """No model that names its scope or its sums is built whole for not being safe."""
    assert once.rows(UNSAFE) == []
    mode = "select mode from penstock_changes.models where model = 'core.subscriptions'"
    assert once.rows(mode) == [("scope",)]


def test_who_a_customer_is_stays_in_one_satellite(once: CarProject) -> None:
    """No name, address or number of a person is in any other table of core or marts."""
    tables = once.tables()
    known = {
        str(value)
        for row in once.rows("select company_name, customer_name, email, phone from core.sat_customer_pii")
        for value in row
        if value is not None
    }
    assert len(known) > 1_000
    texts = re.compile("'([^']*)'")
    told = {name for name, rows in tables.items() if any(known.intersection(texts.findall(row)) for row in rows)}
    assert told == {"raw.customers", "core.sat_customer_pii"}


@pytest.mark.slow
def test_a_person_is_erased_everywhere(once: CarProject, tmp_path: Path) -> None:
    """Erased, nothing of the customer is left in raw, core or marts, which are as if there had never been one; and what
    the API sends again stays out."""
    project = CarProject(
        shutil.copytree(once.folder, tmp_path / "project", symlinks=True), api=once.environ["CARS_API"]
    )
    id_, email = project.rows("select id, email from raw.customers order by id limit 1")[0]
    _penstock(project, "erase", "--subject", f"customer:{id_}", "--yes")
    served = {name: parsed(text) for name, text in shown(None).items()}
    without = Company(
        served["cars"],
        [r for r in served["customers"] if r["id"] != id_],
        [r for r in served["subscriptions"] if r["customer_id"] != id_],
    ).marts()
    assert project.marts() == without
    assert not [name for name, rows in project.tables().items() if any(email in row for row in rows)]
    landed, _ = project.run(models=False)
    assert [load.total("landed") for load in landed] == [0, 0, 0]


def _penstock(project: CarProject, *arguments: str) -> dict[str, list[dict[str, Any]]]:
    done = commands.penstock(project.folder, *arguments, "--json", environ=project.environ)
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return report


def test_production_needs_its_secrets() -> None:
    """No default stands for a password, a key or an address in production."""
    overlay = (EXAMPLE / "penstock.production.yml").read_text()
    for name in ("PGPASSWORD", "CARS_API", "PENSTOCK_PII_KEY_V1"):
        assert f"${{{name}}}" in overlay


def test_the_readme_can_be_followed() -> None:
    """Each command that it shows is one, with options that there are."""
    lines = [line.strip() for line in (EXAMPLE / "README.md").read_text().splitlines() if line.startswith("    ")]
    commands = [shlex.split(line.partition("penstock ")[2], comments=True) for line in lines if "penstock " in line]
    known: Any = typer.main.get_command(app)
    assert len(commands) == 15
    for name, *rest in commands:
        known.commands[name].make_context(name, rest)
