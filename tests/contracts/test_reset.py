"""A stream started anew, and a ledger that somebody changed by hand: it is noticed, and a reset mends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.inspecting import _print_status
from penstock.doctor.examine import check_ledger
from penstock.doctor.status import read_status
from penstock.errors import DestinationError, UsageError
from penstock.land.loop import Landed
from penstock.land.session import Session
from penstock.logs import captured
from penstock.project import Project, load_project
from penstock.runs.plan import plan_loads
from penstock.runs.reset import enter_lost, look, reset
from penstock.transform.built import Built
from penstock.transform.perform import Transformer
from tests.support.fixtures import EMBEDDED, slow_on_postgres
from tests.support.modelled import a_modelled_project
from tests.support.scheduled import a_project, drop
from tests.support.up import call, up

NAMES = "select name, records from reports.by_name order by 1"


@pytest.fixture
def project(warehouse: dict[str, Any], tmp_path: Path) -> Project:
    """Two files of things, and a model that counts them."""
    directory = a_modelled_project(tmp_path, warehouse)
    drop(directory, "second")
    return load_project(directory)


@pytest.fixture
def landed(warehouse: dict[str, Any], tmp_path: Path) -> Iterator[Session]:
    """Things landed, without models."""
    directory = a_project(tmp_path, warehouse, None)
    drop(directory, "second")
    with Session(load_project(directory)) as opened:
        load(opened)
        yield opened


@pytest.fixture
def session(project: Project) -> Iterator[Session]:
    """With things landed and modelled."""
    with Session(project) as opened:
        load(opened)
        build(opened)
        yield opened


def load(session: Session) -> Landed:
    """Land what is new."""
    return session.load(plan_loads(session.project)[0])


def build(session: Session) -> Built:
    """Build what that touches."""
    return Transformer(session).run()


def rows(session: Session, sql: str) -> list[Any]:
    """What the warehouse answers."""
    return [tuple(row) for row in session.destination.query(sql).rows]


@slow_on_postgres("warehouse")
def test_a_stream_starts_anew(session: Session) -> None:
    """After a reset the same sources land again, and models are those of a project that never saw what is gone now;
    what is kept says what happened; once more is nothing."""
    assert rows(session, NAMES) == [("first", 1), ("second", 1)]
    (session.project.directory / "data" / "broken.ndjson").write_text("no record\n")
    load(session)
    seen = look(session, "things")
    done = reset(session, "things")
    assert done == seen and (done.rows, done.quarantined, done.columns) == (2, 1, 1)
    assert done.models == ["reports.by_name", "staging.stg_things"]
    assert rows(session, "select count(*) from information_schema.tables where table_schema = 'raw'") == [(0,)]
    assert rows(session, "select deleted from penstock.loads where read = 0") == [(2,)]
    assert read_status(session.project)["streams"] == []
    waiting = build(session)  # nothing to build yet: and this build is not the one that mends the models
    assert not waiting.nodes and waiting.waiting == ["things"]
    for name in ("broken", "first"):
        (session.project.directory / "data" / f"{name}.ndjson").unlink()
    drop(session.project.directory, "third")
    assert load(session).total("landed") == 2
    assert not [n for n in build(session).nodes if n.failed]
    assert rows(session, NAMES) == [("second", 1), ("third", 1)]
    assert build(session).reason and not load(session).receipts
    (status,) = read_status(session.project)["streams"]
    assert status["landed"] == 2
    drop(session.project.directory, "fourth")
    load(session)
    build(session)
    assert rows(session, NAMES) == [("fourth", 1), ("second", 1), ("third", 1)]


def test_what_a_changed_identity_needs(landed: Session) -> None:
    """What a stream was at its first landing is forgotten with it."""
    path = landed.project.directory / "penstock.yml"
    settings = json.loads(path.read_text())
    settings["streams"]["things"] |= {"identity": ["name"], "disposition": "merge"}
    path.write_text(json.dumps(settings))
    drop(landed.project.directory, "third")
    landed.release()
    with Session(load_project(landed.project.directory)) as changed:
        with pytest.raises(UsageError, match="penstock reset things"):
            load(changed)
        reset(changed, "things")
        assert load(changed).total("landed") == 3


DAMAGES = {
    "emptied": "delete from penstock.loads",
    "pruned": "delete from penstock.loads where seq = 1",
    "newest lost": "delete from penstock.loads where seq = (select max(seq) from penstock.loads)",
    "no loads": "drop table penstock.loads{cascade}",
    "no columns": "delete from penstock.columns",
    "no ledger": "drop schema penstock cascade",
    "no table": "drop table raw.things{cascade}",
    "no column": "alter table raw.things drop column name{cascade}",
}
FEW_DAMAGES = ("emptied", "newest lost", "no ledger", "no table")
"""Those of ``make test`` too."""


@slow_on_postgres("warehouse")
@pytest.mark.parametrize("kind", [k if k in FEW_DAMAGES else pytest.param(k, marks=pytest.mark.slow) for k in DAMAGES])
def test_damage_is_told_and_a_reset_mends_it(landed: Session, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A load, though there be nothing new, and a whole build refuse to go on and say what to do; status and doctor say
    it too; after a reset all lands again, and what comes later."""
    project, destination = landed.project, landed.destination
    if kind in ("pruned", "newest lost"):
        drop(project.directory, "between")
        load(landed)
    if destination.kind == "duckdb":
        destination.query("drop view raw.things__delta")  # which would stand in the way of a change of the table
    destination.query(DAMAGES[kind].format(cascade=" cascade" if destination.kind == "postgres" else ""))
    landed.close()
    with Session(project) as again:
        if kind != "no ledger":  # nothing is known then, and all is new
            with pytest.raises(DestinationError, match="penstock reset things"):
                load(again)
        drop(project.directory, "later")
        for act in (load, lambda s: Transformer(s).run(full_refresh=True)):
            with pytest.raises(DestinationError, match="penstock reset things"):
                act(again)
        (damage,) = read_status(project)["damage"]
        assert damage["stream"] == "things" and "penstock reset things" in damage["fix"]
        _print_status(project)
        shown = capsys.readouterr().out
        assert "the ledger does not fit" in shown and "nothing has landed" not in shown
        (check,) = check_ledger(project, None)
        assert not check.ok and check.name == "ledger of things"
        reset(again, "things")
        expected = len(list((project.directory / "data").iterdir()))
        assert load(again).total("landed") == expected
        drop(project.directory, "last")
        assert load(again).total("landed") == 1
        assert read_status(project)["damage"] == [] and check_ledger(project, None)[0].ok


LESS = ("watermarks", "runs", "streams", "erasures", "quarantine")


@slow_on_postgres("warehouse")
@pytest.mark.parametrize("table", ["positions", *(pytest.param(t, marks=pytest.mark.slow) for t in LESS)])
def test_a_table_that_is_made_anew(landed: Session, table: str) -> None:
    """A table of the ledger that is gone is told of, and is made anew."""
    landed.destination.query(f"drop table penstock.{table}")
    landed.close()
    with pytest.raises(DestinationError, match=f"lacks penstock.{table}"):
        read_status(landed.project)
    drop(landed.project.directory, "third")
    with captured() as records, Session(landed.project) as again:
        assert load(again).total("landed") == 1
    assert [r["table"] for r in records if r["logger"] == "ledger"] == [f"penstock.{table}"]


@pytest.mark.slow
def test_models_after_damage(session: Session) -> None:
    """Models take in what lands after the ledger was emptied and the stream reset, though they had seen higher numbers
    than there are now; and what lands after their watermarks were lost."""
    for number in range(3):
        drop(session.project.directory, f"more {number}")
        load(session)
    build(session)
    session.destination.query("delete from penstock.loads")
    reset(session, "things")
    load(session)
    build(session)
    assert rows(session, "select count(*) from reports.by_name") == [(5,)]
    session.destination.query("drop table penstock.watermarks")
    session.close()
    drop(session.project.directory, "third")
    with Session(session.project) as again:
        load(again)
        build(again)
        assert rows(again, "select count(*) from reports.by_name") == [(6,)]


@pytest.mark.slow
def test_loads_entered_again(session: Session) -> None:
    """Where loads alone are lost, they are entered again from the rows that there are: nothing is deleted or read
    again, and models hold what they held and take in what comes."""
    for number in range(3):
        drop(session.project.directory, f"more {number}")
        load(session)
    build(session)
    session.destination.query("delete from penstock.loads where seq <> 2")
    with pytest.raises(DestinationError, match="penstock reset things --keep-rows"):
        load(session)
    assert enter_lost(session, "things") == 3
    with pytest.raises(UsageError, match="has lost no load"):
        enter_lost(session, "things")
    assert not load(session).receipts
    drop(session.project.directory, "third")
    load(session)
    assert not [n for n in build(session).nodes if n.failed]
    before = rows(session, NAMES)
    assert len(before) == 6 and {n for _, n in before} == {1}
    Transformer(session).run(full_refresh=True)
    assert rows(session, NAMES) == before


def set_back(session: Session, seq: int) -> None:
    """What a restore of schema penstock from a backup as old as that commit makes of it."""
    query, kept = session.destination.query, f"(select load_id from penstock.loads where seq <= {seq})"
    query(f"delete from penstock.positions where load_id not in {kept}")
    query(f"delete from penstock.loads where seq > {seq}")
    query(f"update penstock.watermarks set seq = {seq} where seq > {seq}")
    query("drop sequence penstock.load_ids")
    query("create sequence penstock.load_ids")
    for _ in range(seq):
        query("select nextval('penstock.load_ids')")


@pytest.mark.slow
def test_a_ledger_of_an_older_backup(session: Session) -> None:
    """A load and a build that has nothing to do notice that the newest loads are lost, though loads, positions and
    watermarks agree; entered again, they are modelled, and their numbers are not given again."""
    drop(session.project.directory, "third")
    load(session)
    set_back(session, 1)
    for act in (load, build):
        with pytest.raises(DestinationError, match=r"1 row of raw\.things is of 1 load (?s:.*) --keep-rows"):
            act(session)
    assert enter_lost(session, "things") == 1
    drop(session.project.directory, "fourth")
    load(session)
    assert rows(session, "select count(*), count(distinct load_id) from penstock.loads") == [(3, 3)]
    assert not [n for n in build(session).nodes if n.failed]
    assert rows(session, NAMES) == [(name, 1) for name in ("first", "fourth", "second", "third")]
    assert check_ledger(session.project, None)[0].ok


def test_a_number_that_another_stream_was_given(landed: Session) -> None:
    """A lost load whose number another stream's load has by now is entered under a new one."""
    landed.destination.query("update penstock.loads set stream = 'others'")
    with pytest.raises(DestinationError, match=r"2 rows of raw\.things are of 1 load (?s:.*) --keep-rows"):
        load(landed)
    assert enter_lost(landed, "things") == 1
    assert rows(landed, "select stream, landed from penstock.loads order by seq") == [("others", 2), ("things", 2)]
    assert not load(landed).receipts


def test_numbers_that_would_be_given_again(landed: Session) -> None:
    """A sequence that was set back is noticed before a load gets a number that there is, and is mended."""
    set_back(landed, 1)
    landed.destination.query("drop sequence penstock.load_ids")
    landed.destination.query("create sequence penstock.load_ids")
    drop(landed.project.directory, "third")
    with pytest.raises(DestinationError, match=r"penstock\.load_ids was set back"):
        load(landed)
    assert enter_lost(landed, "things") == 0
    assert load(landed).total("landed") == 1


def test_a_view_of_somebody(tmp_path: Path, postgres_url: str) -> None:
    """A view that no model makes is not dropped with the table: the reset is refused, and says which it is."""
    project = load_project(a_modelled_project(tmp_path, {"type": "postgres", "url": postgres_url}))
    with Session(project) as session:
        load(session)
        build(session)
        session.destination.query("create view public.mine as select * from staging.stg_things")
        with pytest.raises(UsageError, match=r"view public\.mine reads raw\.things"):
            reset(session, "things")
        assert rows(session, "select count(*) from public.mine") == [(1,)]


def test_the_command(tmp_path: Path) -> None:
    """It asks, says what it deletes, and is not done beside a process that is up; of what never landed there is
    nothing to reset."""
    project = a_project(tmp_path, EMBEDDED, None)
    assert call(project, "reset", "things", "--yes").returncode == 2
    assert not (project / "warehouse.duckdb").exists()
    assert call(project, "load").returncode == 0
    asked = call(project, "reset", "things")
    assert asked.returncode == 2 and "--yes" in asked.stderr
    unknown = call(project, "reset", "thongs", "--yes")
    assert unknown.returncode == 2 and "name one that has: things" in unknown.stderr
    with up(project) as process:
        refused = call(project, "reset", "things", "--yes")
        assert refused.returncode == 2 and "stop it with Ctrl-C or SIGTERM" in refused.stderr
        assert process.end() == 0
    done = call(project, "reset", "things", "--yes")
    assert "raw.things: 1 row, 1 column" in done.stdout and "next: penstock run" in done.stdout, done.stderr
    assert "1 landed" in call(project, "load").stdout
