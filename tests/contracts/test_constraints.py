"""Constraints of people's own on a raw table: rows that break one are held, also where it is looked at late, or where
only several rows together break it."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.ports import Destination
from penstock.spec import StreamSpec
from tests.support.warehouse import land, ledger, quarantined, table, write_files

pytestmark = pytest.mark.parametrize("destination", ["postgres"], indirect=True)
SIZES = pytest.mark.parametrize("batch_bytes", [20, 200, 1 << 20])
RULES = {
    "foreign key": "alter table raw.s add foreign key (a) references raw.allowed (a) deferrable initially deferred",
    "trigger": "create constraint trigger allowed after insert or update on raw.s deferrable initially deferred"
    " for each row execute function raw.refuse_13()",
}
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


@pytest.mark.parametrize("refused", [False, True])
def test_a_table_grows_while_constraints_wait(destination: Destination, folder: Path, refused: bool) -> None:
    """A field that comes in the middle of a load becomes a column, whatever is still to be looked at; and constraints
    are as late afterwards as they were."""
    destination.query(RULES["foreign key"])
    first = b'{"a":13,"b":"bad"}' if refused else b'{"a":1,"b":"good"}'
    write_files(folder, {"1.ndjson": first + b'\n{"a":2,"b":"two"}\n{"a":3,"b":"three","c":3}\n{"a":4,"b":"four"}\n'})
    land(destination, folder, StreamSpec(stream="s"), batch_bytes=20)
    assert quarantined(destination, "s") == ({first: "destination_rejected"} if refused else {})
    assert sorted((row["a"], row["c"]) for row in table(destination, "s") if row["a"] > 1) == [
        (2, None),
        (3, 3),
        (4, None),
    ]
