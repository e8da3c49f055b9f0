"""What verification is made of: the values of records, random change sets, and tables compared."""

from __future__ import annotations

from typing import Any

from penstock.ports import Rows
from penstock.spec import StreamSpec
from penstock.verify.changes import Changes, RecordsSource
from penstock.verify.differences import difference
from penstock.verify.values import Values

FIELDS: dict[str, list[Any]] = {"id": ["a", "b", "c"], "at": ["2024-01-01", "2024-01-02"], "note": ["x", None]}
VALUES = Values(fields=FIELDS, real=True)


def changes(seed: int, **spec: Any) -> Changes:
    """The change sets of one stream."""
    return Changes(seed, {"things": StreamSpec(stream="things", **spec)}, {"things": VALUES})


def test_a_seed_gives_the_same_change_sets_again() -> None:
    """The same seed, the same records in the same loads; another seed, others."""
    one, again, other = ([made.first(), *(made.next() for _ in range(9))] for made in map(changes, (1, 1, 2)))
    assert one == again
    assert one != other


def test_records_are_made_of_the_values_of_their_fields() -> None:
    """Each field has one of its own values, or is not there; one that a key needs is always there."""
    made = changes(3, identity=["id"], disposition="merge", version="at")
    records = [record for _ in range(40) for load in made.next() for record in load.records]
    assert len(records) > 40
    for record in records:
        assert {"id", "at"} <= record.keys()
        assert all(value in FIELDS[field] and value is not None for field, value in record.items())
    assert any("note" not in record for record in records)


def test_a_stream_that_loads_replace_keeps_some_of_what_was_there() -> None:
    """Its next load is the last one with changes: some records stay, some go."""
    made = changes(5, disposition="replace")
    before = made.first()[0].records
    kept, gone = 0, 0
    for _ in range(30):
        for load in made.next():
            kept += sum(record in load.records for record in before)
            gone += sum(record not in load.records for record in before)
            before = load.records
    assert kept
    assert gone


def test_a_load_is_a_source_of_its_records() -> None:
    """A load gives one batch, with an id for each message."""
    load = changes(1).first()[0]
    (batch,) = RecordsSource(load).read({})
    assert len(batch.bodies) == len(load.records)
    assert batch.message_ids is not None
    assert len(batch.message_ids) == len(load.records)


def test_tables_are_compared_row_by_row_whatever_their_order() -> None:
    """Rows and columns in another order are the same; a row that one has more often is not."""
    one = Rows(columns=["a", "b"], rows=[(1, None), (2, 0.1 + 0.2)])
    assert difference(one, Rows(columns=["b", "a"], rows=[(0.3, 2), (None, 1)])) is None
    found = difference(one, Rows(columns=["a", "b"], rows=[(1, None), (1, None), (2, 0.4)]))
    assert found is not None
    assert found.columns == ["a", "b"]
    assert found.only_in_steps == [("2", "0.3")]
    assert found.only_in_full == [("1", "null"), ("2", "0.4")]


def test_a_column_that_one_table_lacks_is_a_difference() -> None:
    """A model whose columns grew in steps only does not count as equal."""
    found = difference(Rows(columns=["a"], rows=[(1,)]), Rows(columns=["a", "b"], rows=[(1, 2)]))
    assert found is not None
    assert found.columns == ["a", "b"]
