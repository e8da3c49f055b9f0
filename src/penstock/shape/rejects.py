"""Records that cannot land: which they are, and how quarantine keeps them, with their bytes as they came."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ContractError
from penstock.layout import Layout
from penstock.ports import Batch, Reason, Reject
from penstock.schema import Schema
from penstock.shape.lines import SUB_RECORDS
from penstock.shape.withheld import without_dropped
from penstock.spec import StreamSpec

Refused = Mapping[bytes, Mapping[bytes, str]]
"""What a destination refuses: identity → the record's SHA-256, of its bytes as quarantine keeps them → its words."""

_BLANK = b" \t\r\n"
_SHOWN_LETTERS = 40


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Arrived:
    """The records of a batch as they came, by order number.

    ``originals`` are the bytes of those that had to be rewritten, so that they may stand among others in their body.
    """

    batch: Batch
    spec: StreamSpec
    originals: Mapping[int, bytes]

    def reject(self, order: int, code: Reason, reason: str, body: bytes | None = None) -> Reject:
        """A record as a reject.

        One that is all of its body is kept as that came: a message with its compression and envelope, for which its
        headers then say ``"form": "message"``; a line without the blanks around it. One of several in its body is kept
        apart, and the headers of a message say which it was: ``"part": 2``. What is replayed and refused again stays
        the entry it is.

        Args:
            body: its bytes, when it is no record.
        """
        batch = self.batch
        body = self.originals.get(order) if body is None else body
        n, part = divmod(order, SUB_RECORDS)
        whole: bytes = batch.bodies[n].as_py()
        headers, entry = batch.headers(n), None
        if body is None or len(body.strip(_BLANK)) == len(whole.strip(_BLANK)):
            body = whole if headers is not None else whole.strip(_BLANK)
            if n in batch.came and headers is not None:
                body = batch.came[n]
                headers = {**headers, "form": "message"}
            entry = batch.replays[n] if batch.replays else None
        elif headers is not None:
            headers = {**headers, "part": part + 1}
        origin = batch.origin(n)
        body = without_dropped(body, self.spec.layout, origin)
        return Reject(body=body, code=code, reason=reason, origin=origin, headers=headers, entry=entry)

    def conflicts(self, order: int, fields: Sequence[str], schema: Schema) -> list[str]:
        """What of a record breaks its contract, one part for each field: a field that has no column by its name,
        another with its value and the type that this is not: ``at: 'yesterday' is no timestamp``. Personal values are
        not told."""
        body = self.originals[order] if order in self.originals else self.batch.bodies[order // SUB_RECORDS].as_py()
        record = _values(body, self.spec.layout)
        parts = []
        for field in fields:
            types = [c.type for c in schema.columns if c.field == field and c.type != "pseudonym"]
            hidden = any(f == field or f.startswith((f"{field}.", f"{field}_")) for f in self.spec.pii)
            value = "a value" if hidden or field not in record else _shown(record[field])
            parts.append(f"{field}: {value} is no {' or '.join(types)}" if types else field)
        return parts


def stop_if_frozen(rows: pa.Table, schema: Schema, arrived: Arrived) -> None:
    """Look for what a frozen stream does not take.

    Raises:
        ContractError: a record has it.
    """
    spec = arrived.spec
    if "freeze" not in (spec.columns, spec.types) or rows["_pen_lost"].null_count == rows.num_rows:
        return
    columned = set(schema.fields)
    for order, lost in zip(rows["_pen_o"].to_pylist(), rows["_pen_lost"].to_pylist(), strict=True):
        for field in lost or ():
            known = field in columned
            if (spec.types if known else spec.columns) == "freeze":
                (misfit,) = arrived.conflicts(order, [field], schema)
                what = f"a value does not fit its column: {misfit}" if known else f"field {field!r} has no column"
                raise ContractError(
                    f"stream {spec.stream} is frozen, and {what}",
                    where=arrived.batch.origin(order // SUB_RECORDS),
                    fix="mend the record, declare the field under columns:, or relax contract:; nothing landed",
                )


def without_broken(rows: pa.Table, schema: Schema, arrived: Arrived) -> tuple[pa.Table, list[Reject]]:
    """The rows that may land by themselves, and what lacks its identity or is outside of the contract."""
    if rows["_pen_reject"].null_count == rows.num_rows:
        return rows, []
    bad = rows.filter(pc.is_valid(rows["_pen_reject"]))
    rejects = []
    for order, code, lost in zip(*(bad[c].to_pylist() for c in ("_pen_o", "_pen_reject", "_pen_lost")), strict=True):
        if code == "missing_identity" and arrived.spec.message:
            reason = "the message has no id"
        elif code == "missing_identity":
            reason = f"one of the identity fields is absent or null: {', '.join(arrived.spec.identity)}"
        else:
            reason = f"outside the contract: {', '.join(arrived.conflicts(order, lost, schema))}"
        rejects.append(arrived.reject(order, code, reason))
    return rows.filter(pc.is_null(rows["_pen_reject"])), rejects


def without_refused(rows: pa.Table, refused: Refused, arrived: Arrived) -> tuple[pa.Table, list[Reject]]:
    """The rows that the destination is not known to refuse, and those that it refuses, by identity and record."""
    if not refused:
        return rows, []
    ids = pa.chunked_array([c.storage for c in rows["_pen_id"].chunks], pa.binary(16))
    suspects = np.flatnonzero(pc.is_in(ids, value_set=pa.array(list(refused), pa.binary(16))).to_numpy())
    stays = np.ones(rows.num_rows, dtype=bool)
    rejects = []
    for i in suspects.tolist():
        reject = arrived.reject(rows["_pen_o"][i].as_py(), "destination_rejected", "")
        words = refused[ids[i].as_py()].get(hashlib.sha256(reject.body).digest())
        if words is not None:
            stays[i] = False
            rejects.append(replace(reject, reason=words))
    return rows.filter(pa.array(stays)), rejects


def storable(rejects: Sequence[Reject], layout: Layout) -> Sequence[Reject]:
    """What a source could not read, without what the stream drops."""
    return [replace(r, body=without_dropped(r.body, layout, r.origin)) for r in rejects] if layout.drop else rejects


def _values(body: bytes, layout: Layout) -> dict[str, Any]:
    """The fields of a sound record; of one of several in its body, which stand in no known place here, none."""
    try:
        record = json.loads(body, parse_int=_Number, parse_float=_Number)
    except (ValueError, RecursionError):
        return {}
    return layout.applied(record) if isinstance(record, dict) else {}


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if not isinstance(value, str):
        return json.dumps(value)
    text = value if len(value) <= _SHOWN_LETTERS else f"{value[:_SHOWN_LETTERS]}…"
    return text if isinstance(value, _Number) else repr(text)
