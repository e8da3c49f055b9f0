"""Constraints of people's own on a raw table: rows that break one are held, also where it is looked at late, or where
only several rows together break it."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.destinations.postgres.destination import PostgresDestination
from penstock.ports import Destination
from penstock.spec import StreamSpec
from tests.support.warehouse import land, ledger, quarantined, table, write_files

pytestmark = pytest.mark.parametrize("destination", ["postgres"], indirect=True)
SIZES = pytest.mark.parametrize("batch_bytes", [20, pytest.param(200, marks=pytest.mark.slow), 1 << 20])
RULES = {
    "foreign key": "alter table raw.s add foreign key (a) references raw.allowed (a) deferrable initially deferred",
    "trigger": "create constraint trigger allowed after insert or update on raw.s deferrable initially deferred"
    " for each row execute function raw.refuse_13()",
}
PARENT = "add foreign key (parent) references raw.s (a) deferrable initially deferred"
REFUSE_13 = (
    "create function raw.refuse_13() returns trigger language plpgsql as"
    " $$ begin if new.a = 13 then raise exception '13 is refused'; end if; return new; end $$"
)


@pytest.fixture
def folder(destination: Destination, tmp_path: Path) -> Path:
    """A folder whose first file has landed in ``raw.s``: one row, with ``a`` and ``b``."""
    write_files(tmp_path / "in", {"0.ndjson": b'{"a":0,"b":"first"}\n'})
    land(destination, tmp_path / "in", StreamSpec(stream="s"))
    destination.query("create table raw.allowed as select cast(a as bigint) as a from generate_series(0, 999) as a")
    destination.query("alter table raw.allowed add primary key (a)")
    destination.query("delete from raw.allowed where a = 13")
    destination.query(REFUSE_13)
    return tmp_path / "in"


@SIZES
@pytest.mark.parametrize("rule", RULES)
def test_a_deferred_constraint_holds_its_culprits(
    destination: Destination, folder: Path, rule: str, batch_bytes: int
) -> None:
    """What is refused as late as at the commit goes to quarantine by itself; the others land, as does what follows."""
    destination.query(RULES[rule])
    lines = [b'{"a":%d,"b":"%d"}' % (13 if n in (7, 19) else n + 100, n) for n in range(20)]
    write_files(folder, {"1.ndjson": b"\n".join(lines)})
    land(destination, folder, StreamSpec(stream="s"), batch_bytes=batch_bytes)
    assert quarantined(destination, "s") == {lines[n]: "destination_rejected" for n in (7, 19)}
    assert len(table(destination, "s")) == 19
    assert tuple(map(sum, zip(*ledger(destination, "s")[1:], strict=True))) == (20, 18, 0, 2)
    write_files(folder, {"2.ndjson": b'{"a":14,"b":"after"}\n'})
    assert land(destination, folder, StreamSpec(stream="s")).total("landed") == 1


@SIZES
@pytest.mark.parametrize("rule", ["unique (b)", "unique (b) deferrable initially deferred"])
def test_rows_that_only_together_break_a_rule(
    destination: Destination, folder: Path, rule: str, batch_bytes: int
) -> None:
    """Of new rows that cannot all be there the first one lands, and the later ones are held."""
    destination.query(f"alter table raw.s add {rule}")
    lines = [b'{"a":%d,"b":"%d"}' % (n, n % 8) for n in range(10)] + [b'{"a":99,"b":"0"}']
    write_files(folder, {"1.ndjson": b"\n".join(lines)})
    land(destination, folder, StreamSpec(stream="s"), batch_bytes=batch_bytes)
    assert quarantined(destination, "s") == {lines[n]: "destination_rejected" for n in (8, 9, 10)}
    assert sorted(row["a"] for row in table(destination, "s")) == [0, *range(8)]


@pytest.mark.parametrize("disposition", ["append", "merge", "replace"])
@pytest.mark.parametrize("refused", [False, True])
def test_a_table_grows_while_constraints_wait(
    destination: Destination, tmp_path: Path, disposition: str, refused: bool
) -> None:
    """A field that comes in the middle of a load becomes a column, whatever is still to be looked at; and constraints
    are as late afterwards as they were: a child lands before its parent."""
    first = b'{"a":13,"b":"bad"}' if refused else b'{"a":1,"b":"good"}'
    lines = [first, b'{"a":2}', b'{"a":3,"c":3}', b'{"a":4,"parent":5}', b'{"a":5}']
    rules = StreamSpec(stream="s", identity=("a",))
    write_files(tmp_path / "in", {"0.ndjson": b'{"a":0,"b":"first","parent":0}\n'})
    land(destination, tmp_path / "in", rules, disposition=disposition)
    destination.query("alter table raw.s add unique (a)")
    destination.query(f"alter table raw.s {PARENT}")
    destination.query(REFUSE_13)
    destination.query(RULES["trigger"])
    write_files(tmp_path / "in", {"1.ndjson": b"\n".join(lines)})
    land(destination, tmp_path / "in", rules, disposition=disposition, batch_bytes=10)
    assert quarantined(destination, "s") == ({first: "destination_rejected"} if refused else {})
    assert sorted((row["a"], row["c"]) for row in table(destination, "s") if row["a"] > 1) == [
        (2, None),
        (3, 3),
        (4, None),
        (5, None),
    ]


def test_a_table_grows_beside_constraints_of_others(
    destination: Destination, prepared_postgres_url: str, folder: Path
) -> None:
    """Constraints of others are none of a load's business: those in a schema that its user may not use, and one that
    cannot wait and has the name of one that can."""
    user = f"grower_{prepared_postgres_url.rpartition('/')[2].partition('?')[0]}"
    destination.query("create schema application")
    destination.query("create table application.orders (id bigint unique deferrable initially deferred)")
    destination.query("alter table raw.s add unique (a)")
    destination.query(RULES["foreign key"].replace("add", "add constraint named"))
    destination.query("create table application.lines (a bigint references raw.s (a) deferrable initially deferred)")
    destination.query("create table raw.other (a bigint check (a > 0))")
    destination.query("alter table raw.other rename constraint other_a_check to named")
    destination.query(f"create role {user}")
    try:
        for schema in ("penstock", "raw"):
            destination.query(f"grant usage, create on schema {schema} to {user}")
            destination.query(f"grant all on all tables in schema {schema} to {user}")
            destination.query(f"grant all on all sequences in schema {schema} to {user}")
        for owned in ("table raw.s", "view raw.s__delta"):
            destination.query(f"alter {owned} owner to {user}")
        joint = "&" if "?" in prepared_postgres_url else "?"
        loader = PostgresDestination(f"{prepared_postgres_url}{joint}options=-crole%3D{user}", shown="")
        write_files(folder, {"1.ndjson": b'{"a":1}\n{"a":2,"c":2}\n'})
        assert land(loader, folder, StreamSpec(stream="s"), batch_bytes=8).total("landed") == 2
        loader.close()
    finally:
        for deed in ("reassign owned by {} to current_user", "drop owned by {}", "drop role {}"):
            destination.query(deed.format(user))


@SIZES
@pytest.mark.parametrize("bad", [b'{"a":13}', b'{"a":14}'], ids=["at once", "late"])
@pytest.mark.parametrize("disposition", [pytest.param("append", marks=pytest.mark.slow), "merge", "replace"])
def test_one_bad_row_holds_no_other(
    destination: Destination, tmp_path: Path, disposition: str, bad: bytes, batch_bytes: int
) -> None:
    """What is only right at the commit lands beside a row that is refused, be that at once or at the commit."""
    rules = StreamSpec(stream="s", identity=("a",))
    write_files(tmp_path / "in", {"0.ndjson": b'{"a":0,"b":"first","parent":0}\n'})
    land(destination, tmp_path / "in", rules, disposition=disposition)
    for rule in ("add unique (a)", PARENT, "add check (a <> 13)"):
        destination.query(f"alter table raw.s {rule}")
    destination.query(REFUSE_13.replace("= 13", "= 14"))
    destination.query(RULES["trigger"])
    children = [b'{"a":%d,"parent":%d}' % (20 + n, 30 + n) for n in range(8)]
    parents = [b'{"a":%d}' % (30 + n) for n in range(8)]
    lines = [*children, bad, *parents]
    write_files(tmp_path / "in", {"1.ndjson": b"\n".join(lines)})
    land(destination, tmp_path / "in", rules, disposition=disposition, batch_bytes=batch_bytes)
    assert quarantined(destination, "s") == {bad: "destination_rejected"}
    assert {row["a"] for row in table(destination, "s") if row["a"]} == {20 + n for n in range(8)} | {
        30 + n for n in range(8)
    }


@SIZES
@pytest.mark.parametrize(
    "bad", [b"", b'{"a":13}', pytest.param(b'{"a":14}', marks=pytest.mark.slow)], ids=["none", "at once", "late"]
)
@pytest.mark.parametrize("disposition", ["merge", "replace"])
def test_what_a_row_gives_up_another_takes(
    destination: Destination, tmp_path: Path, disposition: str, bad: bytes, batch_bytes: int
) -> None:
    """A row takes over what the delivery takes away from another one, where that is looked at at the commit."""
    rules = StreamSpec(stream="s", identity=("a",), version="v" if disposition == "merge" else None)
    write_files(tmp_path / "in", {"0.ndjson": b'{"a":1,"b":"x","v":1}\n{"a":2,"b":"y","v":1}\n'})
    land(destination, tmp_path / "in", rules, disposition=disposition)
    for rule in ("add unique (b) deferrable initially deferred", "add check (a <> 13)"):
        destination.query(f"alter table raw.s {rule}")
    destination.query(REFUSE_13.replace("= 13", "= 14"))
    destination.query(RULES["trigger"])
    lines = [b'{"a":2,"b":"x","v":2}', b'{"a":1,"b":"z","v":2}', bad]
    if disposition == "replace":
        del lines[1]
    write_files(tmp_path / "in", {"1.ndjson": b"\n".join(filter(None, lines))})
    land(destination, tmp_path / "in", rules, disposition=disposition, batch_bytes=batch_bytes)
    assert quarantined(destination, "s") == ({bad: "destination_rejected"} if bad else {})
    expected = [(2, "x")] if disposition == "replace" else [(1, "z"), (2, "x")]
    assert sorted((row["a"], row["b"]) for row in table(destination, "s")) == expected


@SIZES
@pytest.mark.parametrize("rule", ["unique (b)", "unique (b) deferrable initially deferred"])
def test_a_refresh_holds_what_breaks_a_rule_together(
    destination: Destination, tmp_path: Path, rule: str, batch_bytes: int
) -> None:
    """Of a delivery's rows that cannot all be there the first one lands, be they of one batch or of several."""
    rules = StreamSpec(stream="s", identity=("a",))
    write_files(tmp_path / "in", {"0.ndjson": b'{"a":0,"b":"first"}\n{"a":50,"b":"gone"}\n'})
    land(destination, tmp_path / "in", rules, disposition="replace")
    destination.query(f"alter table raw.s add {rule}")
    lines = [b'{"a":%d,"b":"%d"}' % (n, n % 8) for n in range(10)] + [b'{"a":99,"b":"0"}']
    write_files(tmp_path / "in", {"1.ndjson": b"\n".join(lines)})
    land(destination, tmp_path / "in", rules, disposition="replace", batch_bytes=batch_bytes)
    assert quarantined(destination, "s") == {lines[n]: "destination_rejected" for n in (8, 9, 10)}
    assert sorted((row["a"], row["b"]) for row in table(destination, "s")) == [(n, str(n)) for n in range(8)]


def test_a_batch_of_many_culprits(destination: Destination, folder: Path) -> None:
    """However many rows are refused, a row is written about as often as the batch can be halved."""
    destination.query("create sequence public.written")
    destination.query(
        "create function raw.count_row() returns trigger language plpgsql as"
        " $$ begin perform nextval('public.written'); return new; end $$"
    )
    destination.query("create trigger counted before insert on raw.s for each row execute function raw.count_row()")
    destination.query("alter table raw.s add unique (b)")
    rows = 128
    write_files(folder, {"1.ndjson": b"\n".join(b'{"a":%d,"b":"%d"}' % (n, n // 2) for n in range(rows))})
    assert land(destination, folder, StreamSpec(stream="s")).total("quarantined") == rows // 2
    # the search, the rows that it left out once more, and the landings before and after it
    ((written,),) = destination.query("select nextval('public.written')").rows
    assert written <= 2 * rows * (rows.bit_length() + 1)
