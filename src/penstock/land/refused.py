"""When a destination refuses a batch: find the rows it refuses, so that only they go to quarantine."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.errors import RejectedRows

if TYPE_CHECKING:
    from penstock.ports import Destination, Shaped, Target


def culprits(destination: Destination, target: Target, shaped: Shaped) -> dict[bytes, dict[bytes, str]]:
    """Identity → the record's hash → the destination's words, for each row that it refuses by itself: another record of
    the same identity may be sound.

    Halves the batch again and again, writing each part in a transaction that is then rolled back: about
    ``2 log2(rows)`` trials for one culprit.
    """
    refused: dict[bytes, dict[bytes, str]] = {}
    parts = [range(shaped.rows.num_rows)]
    while parts:
        part = parts.pop()
        message = _trial(destination, target, shaped, part)
        if message is None:
            continue
        if len(part) == 1:
            id_: bytes = shaped.rows["_pen_id"][part[0]].value.as_py()
            reject = shaped.refused(part[0], "destination_rejected", message)
            refused.setdefault(id_, {})[hashlib.sha256(reject.body).digest()] = message
        else:
            middle = len(part) // 2
            parts += [part[:middle], part[middle:]]
    return refused


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
