"""Records that cannot land, as quarantine keeps them: their bytes as they came, and what came beside them."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from penstock.layout import Layout
from penstock.ports import Batch, Reason, Reject
from penstock.schema import Schema
from penstock.shape.arrow import SUB_RECORDS
from penstock.shape.careful import without_dropped

_BLANK = b" \t\r\n"
_SHOWN_LETTERS = 40


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def refusal(batch: Batch, layout: Layout, order: int, body: bytes | None, code: Reason, reason: str) -> Reject:
    """A record of the batch as a reject.

    One that is all of its body is kept as that came: a message with its compression and envelope, for which its headers
    then say ``"form": "message"``; a line without the blanks around it. One of several in its body is kept apart, and
    the headers of a message say which it was: ``"part": 2``. What is replayed and refused again stays the entry it is.

    Args:
        order: its order number in the batch.
        body: its bytes, None for all of its body.
    """
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
    if layout.drop:
        body = without_dropped(body, layout, origin)
    return Reject(body=body, code=code, reason=reason, origin=origin, headers=headers, entry=entry)


def conflicts(
    fields: Sequence[str], body: bytes, schema: Schema, layout: Layout, personal: Collection[str]
) -> list[str]:
    """What of a record breaks its contract, one part for each field: a field that has no column by its name, another
    with its value and the type that this is not: ``at: 'yesterday' is no timestamp``. Personal values are not told."""
    record = _values(body, layout)
    parts = []
    for field in fields:
        types = [c.type for c in schema.columns if c.field == field and c.type != "pseudonym"]
        hidden = any(f == field or f.startswith((f"{field}.", f"{field}_")) for f in personal)
        value = "a value" if hidden or field not in record else _shown(record[field])
        parts.append(f"{field}: {value} is no {' or '.join(types)}" if types else field)
    return parts


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
