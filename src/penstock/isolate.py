"""When a destination refuses a batch: find the rows it refuses, so that only they go to quarantine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from penstock.destinations.dispositions import rejected
from penstock.errors import RejectedRows

if TYPE_CHECKING:
    from penstock.ports import Destination, Shaped, Target


def culprits(destination: Destination, target: Target, shaped: Shaped) -> dict[bytes, str]:
    """Identity → the destination's words, for each row that it refuses by itself. Where one identity may have several
    contents, the content stands for it.

    Halves the batch again and again, writing each part in a transaction that is then rolled back: about
    ``2 log2(rows)`` trials for one culprit.
    """
    found: dict[bytes, str] = {}
    parts = [range(shaped.rows.num_rows)]
    while parts:
        part = parts.pop()
        message = _trial(destination, target, shaped, part)
        if message is None:
            continue
        if len(part) == 1:
            found[_id(shaped, part[0])] = message
        else:
            middle = len(part) // 2
            parts += [part[:middle], part[middle:]]
    return found


def without(shaped: Shaped, refused: Mapping[bytes, str]) -> Shaped:
    """The batch with the rows in ``refused`` turned into rejects."""
    if not refused:
        return shaped
    ids = [_id(shaped, i) for i in range(shaped.rows.num_rows)]
    reasons = {i: refused[id_] for i, id_ in enumerate(ids) if id_ in refused}
    return rejected(shaped, reasons, "destination_rejected")


def _trial(destination: Destination, target: Target, shaped: Shaped, part: range) -> str | None:
    """What the destination says to a part of the batch; None when it takes it. Nothing stays written."""
    rows = shaped.rows.slice(part.start, len(part))
    landing = destination.land(target)
    try:
        landing.write(replace(shaped, rows=rows, rejects=(), positions=(), replayed=(), read=len(part), duplicates=0))
    except RejectedRows as e:
        return e.what
    finally:
        landing.rollback()
    return None


def _id(shaped: Shaped, row: int) -> bytes:
    column = "_pen_content" if "_pen_content" in shaped.rows.column_names else "_pen_id"
    value: Any = shaped.rows[column][row]
    return bytes(value.value.as_py()) if hasattr(value.value, "as_py") else bytes(value.as_py().bytes)
