"""Batches that are shaped side by side land as batches that are shaped one after the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.ports import Destination
from penstock.spec import StreamSpec
from tests.support.records import PROPERTY, a_stream, records
from tests.support.warehouse import land, ledger, quarantined, table, write_files

MODES = st.sampled_from(["evolve", "rescue", "reject"])
broken = st.sampled_from([b"{", b"[1]", b'{"a": 1e999}', b'"x"', b'{"a": 1, "a": 2}'])


@PROPERTY
@given(
    found=records,
    again=st.integers(0, 3),
    wrong=st.lists(broken, max_size=2),
    batch_bytes=st.integers(20, 300),
    batches=st.integers(1, 4),
    modes=st.tuples(MODES, MODES),
    at_once=st.integers(2, 4),
)
def test_shapers_side_by_side_are_one(
    destination: Destination,
    tmp_path: Path,
    found: list[dict[str, Any]],
    again: int,
    wrong: list[bytes],
    batch_bytes: int,
    batches: int,
    modes: tuple[Any, Any],
    at_once: int,
) -> None:
    """The same rows from the same places in the same loads, growth, quarantine, counts and positions, wherever batches
    and commits end: of records with one identity the first wins, and types come from the batch that brings a field."""
    lines = [json.dumps(record).encode() for record in found]
    lines = [*lines, *wrong, *lines[:again]]
    write_files(tmp_path / "in", {"a.ndjson": b"\n".join(lines) + b"\n"})
    outcomes = []
    for shapers in (1, at_once):
        rules = StreamSpec(stream=a_stream(), columns=modes[0], types=modes[1])
        land(
            destination,
            tmp_path / "in",
            rules,
            batch_bytes=batch_bytes,
            commit_bytes=batches * batch_bytes,
            at_once=shapers,
        )
        schema = destination.ledger.schema(rules.stream)
        outcomes.append(
            (
                schema,
                table(destination, rules.stream) if schema.version else [],
                _origins(destination, rules.stream) if schema.version else [],
                quarantined(destination, rules.stream),
                ledger(destination, rules.stream),
                destination.ledger.positions(rules.stream, "files"),
            )
        )
    assert outcomes[0] == outcomes[1]


def _origins(destination: Destination, stream: str) -> list[Any]:
    """Where each row came from, and in which of the stream's loads."""
    rows = destination.query(
        f"select _pen_id, _pen_origin, dense_rank() over (order by _pen_load) from raw.{stream} order by _pen_id"
    ).rows
    return [tuple(row) for row in rows]
