"""Of a person who was erased, nothing is left in any table or file, and nothing else is gone, on both destinations."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from penstock import Session, load_project
from penstock.privacy.erasure import erase
from penstock.project import Lake
from penstock.project.steps import LoadStep
from tests.support import people
from tests.support.examples import examples
from tests.support.fixtures import slow_on_postgres
from tests.support.people import customer, dump, load, traces, transform, write

GENERATOR = '<!doctype html><meta name="generator" content="penstock">'


@pytest.fixture(params=["duckdb", "postgres"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The project's folder, with an empty warehouse of each kind."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else "postgresql://nowhere/none"
    folder = tmp_path / "project"
    folder.mkdir()
    people.make_project(folder, request.param, url)
    yield folder
    from dbt.adapters.factory import reset_adapters

    reset_adapters()


def land(session: Session, lake: Path) -> None:
    """Load the customers, and land them in a lake outside of the project, as ``--land`` does."""
    with Session(session.project.with_lake(Lake(path=lake, compression="gzip"))) as landing:
        landing.load(LoadStep(stream="customers", source="customer_files", land=True))


def keep_texts(session: Session, email: str, id_: str) -> None:
    """What the ledger of an earlier version may hold of a person: errors, a position at a parent, an alert."""
    query = session.destination.query
    query(
        "insert into penstock.run_steps (run_id, step, attempt, kind, name, status, started_at, seconds, error)"
        " values (1, 1, 1, 'model', 'm', 'error', now(), 0, $1)",
        [f'invalid input syntax for type integer: "{email}"; customer_id={id_}'],
    )
    state = {
        "asked": "x",
        "pass": {"values": {}, "greatest": None, "next": {"link": f"/customers/{id_}/orders?page=2"}},
    }
    state["pass"]["parent"] = {"page": {"page": 1}, "value": id_}  # type: ignore[index]
    for key, data in (("all", state), ("other", {"asked": "x", "pass": {"next": {"page": 42}, "parent": None}})):
        query("insert into penstock.positions values ('orders', 'api', $1, $2, 1, now())", [key, json.dumps(data)])
    detail = json.dumps({"what": f"value {email}"})
    query(
        "insert into penstock.alerts (alert, subject, state, what, first_failed_at, updated_at, detail)"
        " values ('a', 's', 'failing', $1, now(), now(), $2)",
        [f"value {email}", detail],
    )


def rows_of_others(session: Session, id_: int) -> dict[str, list[Any]]:
    """All rows of the streams that are not the person's."""
    query = session.destination.query
    return {
        "customers": sorted(map(str, query("select * from raw.customers where id <> $1", [id_]).rows)),
        "subscriptions": sorted(
            map(str, query("select * from raw.subscriptions where customer_id <> $1", [str(id_)]).rows)
        ),
    }


def files_holding(folders: list[Path], wanted: list[bytes]) -> list[str]:
    """The files that hold any of these bytes, also where they are compressed."""
    found = []
    for path in (p for folder in folders for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        if any(w in content for w in wanted):
            found.append(path.name)
    return sorted(found)


word = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=8)


@settings(max_examples=examples(3), deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(odd=st.lists(word, min_size=4, max_size=4), others=st.lists(word, min_size=2, max_size=2))
def test_stories(project: Path, odd: list[str], others: list[str]) -> None:
    """Whatever a person's values are, and wherever they got to, they are found in no table, file or lake; all rows of
    other people are as they were."""
    for path in project.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "penstock.yml":
            path.unlink()
    lake = project.parent / "elsewhere"
    shutil.rmtree(lake, ignore_errors=True)
    name, email, phone, note = (f"qzx{i}{text}xzq" for i, text in enumerate(odd))
    wanted = [json.dumps(t, ensure_ascii=a)[1:-1].encode() for t in (name, email, phone) for a in (True, False)]
    wanted += [t.encode() for t in (name, email, phone)]
    theirs = customer(42, name=name, email=email, phone=phone)
    write(project, "customers", "a.ndjson", [theirs, {**theirs, "phone": {"home": phone}, "note": 1}])
    write(project, "customers", "b.ndjson", [customer(43, name=others[0]), customer(44, email=others[1])])
    write(project, "customers", "c.ndjson", [json.dumps({"id": 42, "name": name}).encode() + b"}", b'{"id": 45,}'])
    write(project, "subscriptions", "a.ndjson", [{"id": n, "customer_id": str(n), "rate": n} for n in (42, 43)])
    with people.opened(project) as session:
        if session.destination.kind == "postgres":
            for schema in ("raw", "penstock"):
                session.destination.query(f"drop schema if exists {schema} cascade")
            session.close()
        session.destination.prepare()
        land(session, lake)
        load(session)
        keep_texts(session, email, "42")
        before = rows_of_others(session, 42)
        (project / ".penstock" / "logs").mkdir(parents=True)
        (project / ".penstock" / "logs" / "dbt.log").write_text(f"error: {email}\nerror: {note}\n")
        (project / "report.html").write_text(f"{GENERATOR}<td>{email}</td>")
        (project / "mine.txt").write_text(f"call {phone}")
        found = erase(session, "customer", "42")
        assert sum(n for place, n in found.counts.items() if "elsewhere" in place) >= 2
        assert found.left == ["mine.txt"] and found.removed == ["report.html"]
        assert sorted(found.inputs) == [
            "data/customers/a.ndjson",
            "data/customers/c.ndjson",
            "data/subscriptions/a.ndjson",
        ]
        assert rows_of_others(session, 42) == before
        assert [t for t, content in dump(session).items() if any(w in content for w in wanted)] == []
        errors = session.destination.query("select error from penstock.run_steps").rows
        assert errors == [('invalid input syntax for type integer: "*****"; customer_id=*****',)]
        states = session.destination.query(
            "select key, state from penstock.positions where source = 'api' order by key"
        )
        assert ["pass" in str(state) for _, state in states.rows] == [False, True]
        bodies = session.destination.query("select body from penstock.quarantine").rows
        assert [bytes(b) for (b,) in bodies] == [b'{"id": 45,}']
        if session.destination.kind == "postgres":
            kept = session.destination.query("select most_common_vals::text, histogram_bounds::text from pg_stats").rows
            assert not any(w.decode() in str(kept) for w in wanted)
    assert files_holding([project, lake], wanted) == ["a.ndjson", "c.ndjson", "mine.txt"]
    assert note in (project / ".penstock" / "logs" / "dbt.log").read_text()
    with people.opened(project) as session:
        again = erase(session, "customer", "42")
        assert again.counts == {} and again.nothing


VIEWS = {
    "marts/greatest.sql": "{{ config(materialized='view') }} select max(rate) as rate from {{ ref('rates') }}",
    "marts/greater.sql": "{{ config(materialized='view') }} select rate from {{ ref('greatest') }}",
}

HANGING = (
    "alter view analysis.mine set (security_barrier = true)",
    "comment on view analysis.mine is 'it''s ours'",
    "comment on column analysis.mine.rate is 'per year'",
    "create view analysis.next as select rate from analysis.mine",
    "alter view analysis.next alter column rate set default 5",
    "create rule only_read as on insert to analysis.next do instead nothing",
    "create trigger kept_as_is instead of update on analysis.mine for each row"
    " execute function suppress_redundant_updates_trigger()",
    "comment on trigger kept_as_is on analysis.mine is 'no change'",
    "create function analysis.total(above int) returns bigint language sql"
    " begin atomic select sum(rate) from analysis.next where rate > above; end",
    "comment on function analysis.total(int) is 'all of it'",
    "revoke all on function analysis.total(int) from public",
    "grant execute on function analysis.total(int) to penstock_reader",
    "create view analysis.totals as select analysis.total(1) as total",
    "create function analysis.first_of(r marts.rates) returns int language sql as 'select 1'",
    "alter table marts.rates enable row level security",
    "create policy everybody on marts.rates for select to penstock_reader using (rate > 0)",
    "alter table marts.rates add constraint rate_is_positive check (rate > 0)",
    "create statistics marts.together on customer_id, rate from marts.rates",
)
"""What hangs on tables and views in PostgreSQL, and goes with them."""


@slow_on_postgres("project")
def test_what_depends(project: Path) -> None:
    """After models were built anew, all relations, owners and grants are there that were; the next run has nothing to
    do. Killed before that, the next call brings them back."""
    for path, sql in VIEWS.items():
        (project / "models" / path).write_text(sql)
    write(project, "customers", "a.ndjson", [customer(n) for n in (42, 43)])
    write(project, "subscriptions", "a.ndjson", [{"id": n, "customer_id": str(n), "rate": n} for n in (42, 43, 44)])
    with people.opened(project) as session:
        load(session)
        transform(session)
        query = session.destination.query
        query("create schema analysis")
        query("create view analysis.mine as select rate from marts.greater")
        query("create table analysis.mine_too as select 1 as a")
        grants = session.destination.kind == "postgres"
        if grants:
            query("create role penstock_reader nologin")
            query("grant usage on schema marts, analysis to penstock_reader")
            query("grant select on marts.rates, marts.greatest, analysis.mine to penstock_reader")
            query("grant select (city) on marts.customers_by_city to penstock_reader with grant option")
            query("create materialized view analysis.kept as select * from marts.rates")
            query("create unique index only_once on marts.rates (customer_id)")
            for sql in HANGING:
                query(sql)
    try:
        with people.opened(project) as session:
            before = standing_of(session)
            found = erase(session, "customer", "42")
            assert found.left == []
            assert (
                "the table analysis.mine_too, which neither a stream nor a model of the project makes" in found.outside
            )
            assert {"marts.customers_by_city", "marts.rates"} <= set(found.rebuilt)
            assert standing_of(session) == before
            query = session.destination.query
            assert query("select rate from analysis.mine").rows == [(44,)]
            if grants:
                assert query("select count(*) from analysis.kept").rows == [(2,)]
            assert erase(session, "customer", "42").nothing
            runs = query("select kind, status from penstock.runs where kind = 'erase'").rows
            assert runs == [("erase", "success")]
            transform(session)
            assert standing_of(session) == before
            # cut short after the tables fell
            session.destination.query("update penstock.erasures set rebuilt_at = null")
            detail = json.dumps({"restore": before["restore"]})
            query("update penstock.runs set status = 'error', detail = $1 where kind = 'erase'", [detail])
            query("drop view analysis.mine cascade") if not grants else query("drop view marts.greatest cascade")
            assert erase(session, "customer", "42").rebuilt
            if grants:
                assert standing_of(session) == before
    finally:
        if grants:
            with people.opened(project) as session:
                session.destination.query("drop owned by penstock_reader")
                session.destination.query("drop role penstock_reader")


def test_what_cannot_be_made_anew(postgres_url: str, tmp_path: Path) -> None:
    """Nothing that went with a table is gone without being named."""
    from penstock.privacy.restoring import restore, standing

    people.make_project(tmp_path, "postgres", postgres_url)
    with people.opened(tmp_path) as session:
        query = session.destination.query
        query("create schema a")
        query("create table a.t (n int, gone int)")
        for sql in (
            "create view a.broken as select gone from a.t",
            "comment on view a.broken is 'x'",
            "create function a.of_broken() returns int language sql begin atomic select gone from a.broken; end",
            "create publication changes for table a.t",
            "create table a.other (whole a.t)",
            "create view a.good as select n from a.t",
        ):
            query(sql)
        before = standing(session.destination)
        query("drop table a.t cascade")
        query("create table a.t (n int)")
        left = [line.partition(": ")[0] for line in restore(before, session.destination)]
        assert sorted(left) == [
            "comment on view a.broken",
            "function a.of_broken()",
            "publication relation a.t in publication changes",
            "table column a.other.whole",
            "view a.broken",
        ]
        assert query("select count(*) from a.good").rows == [(0,)]


def standing_of(session: Session) -> dict[str, Any]:
    """The relations of the warehouse, and on PostgreSQL who owns them and who may do what with them."""
    from penstock.privacy.restoring import standing

    now = standing(session.destination).as_data()
    rows = session.destination.query(
        "select table_schema, table_name, table_type from information_schema.tables"
        " where table_schema not in ('pg_catalog', 'information_schema') order by 1, 2"
    ).rows
    now = {name: sorted(map(list, values)) for name, values in now.items()}
    return {"relations": list(rows), "restore": now}


@slow_on_postgres("project")
def test_traces_of_others(project: Path) -> None:
    """A body without an id is the person's by an address that is the person's; another's by the same name is not."""
    write(project, "customers", "a.ndjson", [customer(42), customer(43, name=customer(42)["name"])])
    mail = customer(42)["email"]
    write(project, "customers", "b.ndjson", [json.dumps({"email": mail}).encode() + b"}", b'{"id": 43, "email": 1,}'])
    with people.opened(project) as session:
        load(session)
        erase(session, "customer", "42")
        assert session.destination.query("select count(*) from raw.customers").rows == [(1,)]
        assert session.destination.query("select count(*) from penstock.quarantine").rows == [(1,)]
        assert traces(42)[1] not in dump(session)["penstock.quarantine"]
    assert load_project(project).name == "people"
