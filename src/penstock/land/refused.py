"""When a destination refuses rows: find them, so that only they go to quarantine.

What it refuses may take several rows together, of several batches, and be looked at as late as at the commit. Where it
can try parts of batches, a :class:`Search` is therefore through all that one commit covers. Elsewhere :func:`culprits`
looks at one batch beside what is committed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import pyarrow as pa

from penstock.errors import RejectedRows

if TYPE_CHECKING:
    from penstock.ports import Destination, Shaped, Target
    from penstock.schema import Schema

Refused = dict[bytes, dict[bytes, str]]
"""Identity → the record's hash → the destination's words: another record of the same identity may be sound."""

Tried = Callable[[Sequence[range]], str | None]
"""What the destination says to parts of a batch that are written together; None when it takes them."""


Refusal = tuple[str, bool]
"""The destination's words, and whether it is as late as at the commit that it says them."""


class Trial(Protocol):
    """A landing that finds out which rows are refused, and is rolled back then."""

    def attempt(self, parts: Sequence[Shaped]) -> Refusal | None:
        """Write parts of batches together, and look at what is put off until the commit, too. When they are refused,
        all is as it was before. Raises ``SchemaMoved`` when another load has changed the schema meanwhile."""
        ...

    def end_refresh(self) -> None:
        """Of a refresh, delete the rows that no part named, as its commit would; unless that is refused."""
        ...

    def rollback(self) -> None:
        """Undo all."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """A row of a batch."""

    shaped: Shaped
    place: int


class Search:
    """Through batches that were refused, written in a landing that is never committed.

    A row that is refused beside the sound rows before it is left out. It is tried again once all of its batch is
    written: by itself it may only have come too early. When it is refused as late as at the commit, it is tried again
    beside all that the commit covers. So each one that is held was refused beside all sound rows that it could have
    needed. Each row is written about ``2 log2(rows of the batch)`` times at most for each of these.
    """

    def __init__(self, destination: Destination, target: Target) -> None:
        self._trial = cast("Trial", destination.land(replace(target, immediate=True)))
        self._whole = target.whole
        self._refused: Refused = {}
        self._aside: list[_Row] = []
        self._schema: Schema | None = None

    def write(self, shaped: Shaped) -> None:
        """Write a batch, without the rows that are refused."""
        self._schema = shaped.schema
        rows = [_Row(shaped, place) for place in range(shaped.rows.num_rows)]
        for row, (words, late) in self._left_out(rows).items():
            if late:
                self._aside.append(row)
            else:
                _enter(self._refused, row.shaped, row.place, words)

    def refused(self) -> Refused:
        """What is refused of all that was written."""
        if self._aside and self._whole:
            self._trial.end_refresh()
        for row, (words, _) in self._left_out(self._aside).items():
            _enter(self._refused, row.shaped, row.place, words)
        return self._refused

    def rollback(self) -> None:
        """Undo all."""
        self._trial.rollback()

    def _left_out(self, rows: list[_Row]) -> dict[_Row, Refusal]:
        """Write rows; those that are refused beside all others."""
        left = self._once(rows)
        while left and len(left) < len(rows):
            rows = list(left)
            left = self._once(rows)
        return left

    def _once(self, rows: list[_Row]) -> dict[_Row, Refusal]:
        """Write rows; those that are refused beside the sound ones before them."""
        left: dict[_Row, Refusal] = {}
        parts = [rows] if rows else []
        while parts:
            part = parts.pop()
            if (refusal := self._trial.attempt(list(self._parts(part)))) is None:
                continue
            if len(part) == 1:
                left[part[0]] = refusal
            else:
                parts += reversed(_halves(part))
        return left

    def _parts(self, rows: list[_Row]) -> Iterable[Shaped]:
        """The rows, batch by batch, all after the schema that the last of them has made the table grow to."""
        assert self._schema is not None
        for _, group in groupby(rows, key=lambda row: id(row.shaped)):
            of_batch = list(group)
            shaped = of_batch[0].shaped
            yield replace(_only(shaped, shaped.rows.take([row.place for row in of_batch])), schema=self._schema)


def culprits(destination: Destination, target: Target, shaped: Shaped) -> Refused:
    """The rows that the destination refuses by themselves. When it refuses none of them so, but not all of them
    together, those rows that it refuses beside the ones before them.

    Halves the batch again and again, writing each part in a transaction that is then rolled back: about
    ``2 log2(rows)`` trials for one culprit.
    """
    trial = partial(_trial, destination, target, shaped)
    whole = range(shaped.rows.num_rows)
    if (message := trial([whole])) is None:
        return {}
    refused: Refused = {}
    for place, words in (_alone(trial, whole, message) or _beside_others(trial, whole)).items():
        _enter(refused, shaped, place, words)
    return refused


def _enter(refused: Refused, shaped: Shaped, place: int, words: str) -> None:
    """Enter a row among what is refused."""
    id_: bytes = shaped.rows["_pen_id"][place].value.as_py()
    reject = shaped.refused(place, "destination_rejected", words)
    refused.setdefault(id_, {})[hashlib.sha256(reject.body).digest()] = words


def _alone(trial: Tried, part: range, message: str) -> dict[int, str]:
    """The rows of a part, which is refused with these words, that are refused by themselves."""
    if len(part) == 1:
        return {part[0]: message}
    refused: dict[int, str] = {}
    for half in _halves(part):
        if (words := trial([half])) is not None:
            refused |= _alone(trial, half, words)
    return refused


def _beside_others(trial: Tried, whole: range) -> dict[int, str]:
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


P = TypeVar("P", range, list[_Row])


def _halves(part: P) -> tuple[P, P]:
    middle = len(part) // 2
    return part[:middle], part[middle:]


def _trial(destination: Destination, target: Target, shaped: Shaped, parts: Sequence[range]) -> str | None:
    """What the destination says to parts of the batch together; None when it takes them. Nothing stays written."""
    rows = pa.concat_tables([shaped.rows.slice(part.start, len(part)) for part in parts])
    landing = destination.land(target)
    try:
        landing.write(_only(shaped, rows))
    except RejectedRows as e:
        return e.what
    finally:
        landing.rollback()
    return None


def _only(shaped: Shaped, rows: pa.Table) -> Shaped:
    """Of a batch these rows and nothing else."""
    return replace(shaped, rows=rows, rejects=(), positions=(), replayed=(), read=rows.num_rows, duplicates=0)
