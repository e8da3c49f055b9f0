"""When a destination refuses a batch: find the rows it refuses, so that only they go to quarantine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from penstock.errors import RejectedRows

if TYPE_CHECKING:
    from penstock.ports import Destination, Shaped, Target

Trial = Callable[[Sequence[range]], str | None]
"""What the destination says to parts of a batch that are written together; None when it takes them."""


def culprits(destination: Destination, target: Target, shaped: Shaped) -> dict[bytes, dict[bytes, str]]:
    """Identity → the record's hash → the destination's words, for each row that it refuses by itself: another record of
    the same identity may be sound. When it refuses none of them so, but not all of them together, those rows that it
    refuses beside the ones before them.

    Halves the batch again and again, writing each part in a transaction that is then rolled back: about
    ``2 log2(rows)`` trials for one culprit.
    """
    trial = partial(_trial, destination, target, shaped)
    whole = range(shaped.rows.num_rows)
    if (message := trial([whole])) is None:
        return {}
    refused: dict[bytes, dict[bytes, str]] = {}
    for place, words in (_alone(trial, whole, message) or _beside_others(trial, whole)).items():
        id_: bytes = shaped.rows["_pen_id"][place].value.as_py()
        reject = shaped.refused(place, "destination_rejected", words)
        refused.setdefault(id_, {})[hashlib.sha256(reject.body).digest()] = words
    return refused


def _alone(trial: Trial, part: range, message: str) -> dict[int, str]:
    """The rows of a part, which is refused with these words, that are refused by themselves."""
    if len(part) == 1:
        return {part[0]: message}
    refused: dict[int, str] = {}
    for half in _halves(part):
        if (words := trial([half])) is not None:
            refused |= _alone(trial, half, words)
    return refused


def _beside_others(trial: Trial, whole: range) -> dict[int, str]:
    """The rows that are refused beside the sound ones before them."""
    refused: dict[int, str] = {}
    sound: list[range] = []
    parts = [whole]
    while parts:
        part = parts.pop()
        if (words := trial([*sound, part])) is None:
            sound.append(part)
        elif len(part) == 1:
            refused[part[0]] = words
        else:
            parts += reversed(_halves(part))
    return refused


def _halves(part: range) -> tuple[range, range]:
    middle = len(part) // 2
    return part[:middle], part[middle:]


def _trial(destination: Destination, target: Target, shaped: Shaped, parts: Sequence[range]) -> str | None:
    """What the destination says to parts of the batch together; None when it takes them. Nothing stays written."""
    rows = pa.concat_tables([shaped.rows.slice(part.start, len(part)) for part in parts])
    landing = destination.land(target)
    try:
        landing.write(
            replace(shaped, rows=rows, rejects=(), positions=(), replayed=(), read=rows.num_rows, duplicates=0)
        )
    except RejectedRows as e:
        return e.what
    finally:
        landing.rollback()
    return None
