"""Selections in any order: a model claims no load that something it reads has not taken in, so that none is missed."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from penstock.errors import UsageError
from penstock.land.session import Session
from penstock.project import load_project
from penstock.runs.plan import plan_loads
from penstock.transform.dbt import Dbt, open_dbt
from penstock.transform.perform import Transformer
from tests.support.fixtures import EMBEDDED, slow_on_postgres
from tests.support.modelled import a_modelled_project
from tests.support.servers import a_database

STORIES = int(os.environ.get("PENSTOCK_TEST_STORIES", "1"))
"""How many random orders are gone through."""

INSERTED = (
    "{{ config(materialized='incremental', incremental_strategy='insert_only', unique_key='%s', schema='reports',"
    " indexes=penstock.indexes(['%s']), post_hook='{{ penstock.mark() }}') }}\n"
    "{%% set window = penstock.window() %%}\n{{ penstock.takes_in(window) }}\n%s"
)
LANDED = "{{ penstock.landed_in(none, window) }}"
NAMES = f"select name, min(_pen_load) as _pen_load from {{{{ ref('%s') }}}} where {LANDED} group by name"
SUMS = "cast(count(*) as bigint) as records, cast(sum(amount) as bigint) as total"
ADDITIVE = (
    "{{ config(materialized='penstock', schema='reports', unique_key='name', additive=['records', 'total']) }}"
    f"select name, {SUMS} from %s group by name"
)
ROWS = (
    "{{ config(materialized='penstock', schema='reports', unique_key='_pen_id', scope='_pen_id') }}"
    "select _pen_id, _pen_load, name, amount from %s"
)
SCOPE = "{{ config(materialized='penstock', schema='reports', unique_key='name', scope='name') }}"
VIEW = "{{ config(materialized='view', schema='staging') }}"
MODELS = {
    "stg_things": f"{VIEW} select _pen_id, _pen_load, name, amount from {{{{ source('raw', 'things') }}}}",
    "thing": ROWS % "{{ ref('stg_things') }}",
    "other": ROWS % "{{ source('raw', 'others') }}",
    "sums": ADDITIVE % "{{ ref('thing') }}",
    "other_sums": ADDITIVE % "{{ ref('other') }}",
    "all_sums": ADDITIVE
    % (
        "(select name, amount from {{ ref('thing') }} union all select name, amount from {{ ref('other') }} union all"
        " select name, amount from {{ source('raw', 'things') }}) as moved"
    ),
    "latest": f"{SCOPE} select name, records, total from {{{{ ref('sums') }}}}",
    "seen_latest": f"{VIEW} select name, records from {{{{ ref('latest') }}}} where records > 0",
    "over_view": f"{SCOPE} select name, records from {{{{ ref('seen_latest') }}}}",
    "joined": f"{SCOPE} select a.name, a.total, b.total as others, c.records from {{{{ ref('sums') }}}} as a"
    " left join {{ ref('other_sums') }} as b on a.name = b.name"
    " left join {{ ref('seen_latest') }} as c on a.name = c.name",
    "names": INSERTED % ("name", "name", NAMES % "thing"),
    "names_sums": ADDITIVE % "(select name, 1 as amount from {{ ref('names') }}) as counted",
    "seen_names": f"{VIEW} select * from {{{{ ref('names') }}}}",
    "hub": INSERTED
    % (
        "_pen_id",
        "_pen_id",
        f"select _pen_id, _pen_load, name, amount from {{{{ source('raw', 'things') }}}} where {LANDED}",
    ),
    "hub_names": INSERTED % ("name", "name", f"select distinct name from {{{{ ref('hub') }}}} where {LANDED}"),
    "hub_sums": ADDITIVE % "{{ ref('hub') }}",
    "copied": "{{ config(materialized='table', schema='reports') }} select _pen_load, name, amount"
    " from {{ ref('stg_things') }}",
    "copied_names": INSERTED % ("name", "name", NAMES % "copied"),
    "copied_names_sums": ADDITIVE % "(select name, 1 as amount from {{ ref('copied_names') }}) as counted",
    "copied_sums": f"{SCOPE} select name, {SUMS} from {{{{ ref('copied') }}}} group by name",
    "kept_names": INSERTED % ("name", "name", NAMES % "kept"),
    "mixed": f"{SCOPE} select name, {SUMS} from (select name, amount from {{{{ ref('stg_things') }}}} union all"
    " select name, amount from {{ ref('copied') }}) as moved group by name",
    "copied_things": "{{ config(materialized='table', schema='reports') }} select _pen_load, name, amount"
    " from {{ ref('thing') }}",
    "copied_things_names": INSERTED
    % ("name", "name", f"select distinct name from {{{{ ref('copied_things') }}}} where {LANDED}"),
    "copied_things_sums": f"{SCOPE} select name, {SUMS} from {{{{ ref('copied_things') }}}} group by name",
}
"""The kinds of models that read one another: by rows, sums and scopes, through views and tables, and by loads."""
SNAPSHOT = (
    "{% snapshot kept %}{{ config(schema='reports', unique_key='_pen_id', strategy='check', check_cols=['amount']) }}"
    " select * from {{ ref('stg_things') }}{% endsnapshot %}"
)


def a_project(folder: Path, warehouse: dict[str, Any]) -> Path:
    """Two streams, and the models over them."""
    directory = a_modelled_project(folder, warehouse)
    settings = json.loads((directory / "penstock.yml").read_text())
    (directory / "others").mkdir()
    settings["sources"]["more"] = {"type": "files", "path": "others/*.ndjson"}
    settings["streams"]["others"] = {"from": "more"}
    (directory / "penstock.yml").write_text(json.dumps(settings))
    models = directory / "models"
    (directory / "data" / "first.ndjson").unlink()
    for records in ("data", "others"):
        (directory / records / "first.ndjson").write_text('{"id": "0", "name": "a", "amount": 1}\n')
    (models / "by_name.sql").unlink()
    (models / "sources.yml").write_text("sources: [{name: raw, tables: [{name: things}, {name: others}]}]\n")
    (directory / "macros" / "inserting.sql").write_text(
        "{% macro get_incremental_insert_only_sql(arg_dict) %}"
        "{{ return(penstock.insert_only_sql(arg_dict)) }}{% endmacro %}"
    )
    (directory / "snapshots").mkdir()
    (directory / "snapshots" / "kept.sql").write_text(SNAPSHOT)
    for name, text in MODELS.items():
        (models / f"{name}.sql").write_text(text)
    return directory


class Selections:
    """One warehouse, and the ways in which somebody has its models built."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.by_command = Transformer(session)
        self.following = Transformer(session, following=True)
        self.dbt: Dbt = open_dbt(session.project)
        self.landed = 0

    def land(self, random: Random, *folders: str) -> None:
        """A few records of one stream or the other."""
        for folder in folders or random.choice((("data",), ("others",), ("data", "others"))):
            self.landed += 1
            lines = [
                json.dumps({"id": f"{self.landed}.{i}", "name": random.choice("abcdefghijkl"), "amount": i})
                for i in range(random.randint(1, 3))
            ]
            path = self.session.project.directory / folder / f"{self.landed}.ndjson"
            path.write_text("\n".join(lines) + "\n")
        for step in plan_loads(self.session.project):
            self.session.load(step)
        self.session.destination.query("update penstock.loads set committed_at = committed_at - interval '1 minute'")

    def some(self, random: Random) -> list[str]:
        """A selector of dbt's."""
        names = random.sample(sorted(MODELS), random.randint(1, 3))
        return [random.choice(("", "", "+", "1+")) + name + random.choice(("", "", "+", "+1")) for name in names]

    def build(self, random: Random) -> str:
        """Have some models built; what was done."""
        some = self.some(random)
        match random.choice(("select", "select", "exclude", "dbt", "following", "full")):
            case "select":
                with suppress(UsageError):
                    self.by_command.run(select=some)
                return f"select {some}"
            case "exclude":
                with suppress(UsageError):
                    self.by_command.run(exclude=some)
                return f"exclude {some}"
            case "full":
                with suppress(UsageError):
                    self.by_command.run(select=some, full_refresh=True)
                return f"full refresh of {some}"
            case "dbt":
                self.by_dbt(*some)
                return f"dbt {some}"
        self.following.run()
        return "following"

    def by_dbt(self, *select: str) -> None:
        """Have dbt itself build models, of which Penstock knows nothing."""
        nodes = self.dbt.tables(select=select)
        self.dbt.release()
        assert not [node for node in nodes if node.failed], nodes

    def claims(self) -> dict[str, int]:
        """Up to which load each model says that it has taken in what it reads."""
        rows = self.session.destination.query("select model, seq from penstock.watermarks").rows
        return {str(model).removeprefix("reports."): int(seq) for model, seq in rows}

    def expect_as_built_anew(self, told: object = "") -> None:
        """Compare every model with what a full refresh makes of it."""
        stepwise = self.content()
        self.by_command.run(full_refresh=True)
        whole = self.content()
        wrong = {n: (stepwise[n] - whole[n], whole[n] - stepwise[n]) for n in whole if stepwise[n] != whole[n]}
        assert not wrong, (told, wrong)

    def content(self) -> dict[str, Counter[tuple[Any, ...]]]:
        """What the models hold."""
        tables = [name for name in MODELS if not name.startswith(("stg_", "seen_"))]
        query = self.session.destination.query
        return {name: Counter(map(tuple, query(f"select * from reports.{name}").rows)) for name in tables}


@contextmanager
def begun(folder: Path, warehouse: dict[str, Any]) -> Iterator[Selections]:
    """All models, built over the first records."""
    with Session(load_project(a_project(folder, warehouse))) as session:
        selections = Selections(session)
        selections.land(Random(0), "data", "others")
        selections.by_command.run()
        yield selections
        selections.following.close()


@pytest.fixture(scope="module")
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Selections]:
    """Those that tests go on with one after the other."""
    folder = tmp_path_factory.mktemp("selections")
    if request.param == "duckdb":
        with begun(folder, dict(EMBEDDED)) as selections:
            yield selections
        return
    with a_database(request.getfixturevalue("postgres_server")) as url, begun(folder, postgres(url)) as selections:
        yield selections


def postgres(url: str) -> dict[str, Any]:
    """The settings of a warehouse in this database."""
    return {"type": "postgres", "url": url}


@pytest.fixture
def selections(kept: Selections) -> Selections:
    """All models, built over what has landed by now."""
    kept.by_command.run()
    return kept


@slow_on_postgres("kept")
@pytest.mark.parametrize("following", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_nobody_claims_more_than_what_it_reads(selections: Selections, following: bool) -> None:
    """What is built beside inputs that are behind, or ahead of each other, says so, and catches up without a gap and
    without counting anything twice."""
    random = Random(1)
    first = selections.claims()
    selections.land(random, "data")
    selections.by_command.run(select=["names", "copied_things", "copied_things_sums", "copied_things_names"])
    selections.land(random, "others")
    selections.by_command.run(select=["other"])
    selections.by_command.run(select=["all_sums", "joined"], full_refresh=True)
    selections.land(random, "data")
    selections.by_dbt("copied_names", "copied_sums")
    after = selections.claims()
    assert after.pop("other") > first.pop("other")
    assert after == first
    (selections.following if following else selections.by_command).run()
    assert len(set(selections.claims().values())) == 1
    selections.expect_as_built_anew()


@slow_on_postgres("kept")
def test_nobody_loses_rows_beside_what_is_left_behind(selections: Selections) -> None:
    """What a model has taken in it keeps when it is built again beside a table that is not; and a table that was not
    built since what it reads was counts as left behind."""
    random = Random(2)
    selections.land(random, "data")
    selections.by_dbt("+mixed")
    before = selections.content()["mixed"], selections.claims()["mixed"]
    selections.by_dbt("mixed")
    assert before == (selections.content()["mixed"], selections.claims()["mixed"])
    selections.by_command.run(select=["mixed"])
    assert before == (selections.content()["mixed"], selections.claims()["mixed"])
    claimed = selections.claims()["copied_things_names"]
    selections.by_dbt("thing")
    selections.by_dbt("copied_things_names")
    assert selections.claims()["copied_things_names"] == claimed
    query = selections.session.destination.query
    query("delete from penstock.runs where kind = 'transform'")
    query("delete from penstock.watermarks where model = 'reports.mixed'")
    (node,) = selections.dbt.tables(select=["mixed"])
    selections.dbt.release()
    assert node.failed and "put a + before" in node.message
    selections.following.run()
    selections.land(random, "data")
    tests_due = Transformer(selections.session, following=True, test_every=timedelta(0))
    tests_due.run()
    tests_due.close()
    selections.expect_as_built_anew()


@slow_on_postgres("kept")
def test_what_lands_during_a_run_of_dbt(selections: Selections) -> None:
    """A model over a table that is built along leaves what was committed since the run began."""
    before, query = selections.claims()["copied_names"], selections.session.destination.query
    selections.land(Random(3), "data")
    query("update penstock.loads set committed_at = committed_at + interval '1 hour' where seq > $1", [before])
    selections.by_dbt("+copied_names")
    assert selections.claims()["copied_names"] == before
    query("update penstock.loads set committed_at = committed_at - interval '1 hour' where seq > $1", [before])
    selections.by_dbt("+copied_names")
    assert selections.claims()["copied_names"] > before


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(STORIES))
def test_selections_in_any_order(warehouse: dict[str, Any], tmp_path: Path, seed: int) -> None:
    """Whatever was selected between the loads, and by whom: after a run of all, models are as if built anew."""
    with begun(tmp_path, warehouse) as selections:
        select(selections, seed)


def select(selections: Selections, seed: int) -> None:
    """Land and build in a random order, and compare."""
    random, told = Random(seed), []
    for _ in range(6):
        if random.random() < 0.7:
            selections.land(random)
            told.append("land")
        told.append(selections.build(random))
    (selections.by_command if random.random() < 0.5 else selections.following).run()
    selections.expect_as_built_anew(told)
