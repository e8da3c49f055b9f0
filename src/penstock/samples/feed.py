"""A feed: the records of one endpoint in the order in which they became visible, each made from its number alone.

Nothing is kept: time grows with the number, so the records of a span of time are found by arithmetic. Things (a car,
a customer) change: of ten records, five are of new things, three are the second state of a thing and two the third.
What is wrong on purpose, the same for the same seed:

- one record in a hundred is one of the fifty before it again;
- one new thing in a hundred was committed late: it became visible up to a day after its ``updated``;
- of some things the last state became visible before the one that came before it in time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from penstock.samples.draws import Draw, Numbers
from penstock.samples.texts import Texts, Whole

BLOCK = 10
NEW, SECOND = 5, 8
"""In a block, the slots below the first are new things, those from there on below the other second states."""

START = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
_DAY = 86_400
_BACK = 50
"""How far back a copy reaches."""
COPY_RECORDS = _BACK + 1


class Timeline:
    """When each of so many records became visible: in even steps over so many days from :data:`START`, in seconds."""

    def __init__(self, records: int, days: int, draw: Draw) -> None:
        self.records = records
        self.end = START + days * _DAY
        self._span = days * _DAY
        self._draw = draw

    def at(self, number: Whole) -> Whole:
        """When the records of these numbers became visible. Numbers beyond the last are later than the end."""
        jitter = self._draw("at", number.astype(np.uint64)) % np.uint64(max(1, self._span // self.records))
        return START + number * self._span // self.records + jitter.astype(np.int64)

    def first_from(self, second: int) -> int:
        """The first record that became visible at ``second`` or later; ``records`` when there is none."""
        near = min(max((second - START) * self.records // self._span - 2, 0), self.records)
        window = np.arange(near, min(near + 5, self.records), dtype=np.int64)
        return near + int(np.searchsorted(self.at(window), second, side="left"))

    def blocks(self, days: int) -> int:
        """How many blocks of records become visible in so many days, at least one."""
        return max(1, self.records * days * _DAY // (self._span * BLOCK))


@dataclass(frozen=True, slots=True)
class States:
    """For each record, the thing it is about, that thing's state (1 to 3), and when the state began."""

    thing: Whole
    state: Whole
    updated: Whole
    created: Whole


class Lives:
    """Which state of which thing each record is."""

    def __init__(self, timeline: Timeline, draw: Draw) -> None:
        self._timeline = timeline
        self._draw = draw
        self._second = timeline.blocks(60)
        self._soon = self._second + timeline.blocks(2)
        self._third = self._soon + timeline.blocks(140)
        self.late_records = (self._soon - self._second + 1) * BLOCK
        """How many records further back a record's ``updated`` may lie, besides a day."""

    def originals(self, number: Whole) -> Whole:
        """For each record the number of the one whose content it has: its own, or that of one of the fifty before it.
        No copy stands in the place of a new thing, so each thing is there."""
        drawn = self._drawn("copy", number)
        copies = (number > _BACK) & (self._slots(number)[1] >= NEW) & (drawn % np.uint64(50) == 0)
        back = 1 + (drawn // np.uint64(50) % np.uint64(_BACK)).astype(np.int64)
        return np.where(copies, number - back, number)

    def states(self, number: Whole) -> States:
        """What the records are."""
        block, slot = self._slots(number)
        thing, state = block * BLOCK + slot, np.ones(len(number), dtype=np.int64)
        changed = ((slot >= NEW) & (slot < SECOND) & (block >= self._second), self._second, NEW, 2)
        soon = ((slot == SECOND) & (block >= self._soon), self._soon, SECOND, 3)
        later = ((slot == SECOND + 1) & (block >= self._third), self._third, SECOND, 3)
        for mask, lag, first, rank in (changed, soon, later):
            thing = np.where(mask, (block - lag) * BLOCK + slot - first, thing)
            state = np.where(mask, rank, state)
        updated = self._timeline.at(number)
        delay = 1 + (self._drawn("delay", thing) % np.uint64(_DAY - 1)).astype(np.int64)
        late = (state == 1) & (self._drawn("late", thing) % np.uint64(100) == 0)
        crossed = (thing % BLOCK == 0) & (state > 1) & self.crossed(thing)
        before = self._timeline.at(self._places(thing, self._second, NEW))
        updated = np.where(late, updated - delay, np.where(crossed & (state == 3), before - delay, updated))
        # what became visible first is the later state
        state = np.where(crossed, 5 - state, state)
        return States(thing, state, updated, self._timeline.at(self._places(thing, 0, 0)))

    def crossed(self, thing: Whole) -> NDArray[np.bool_]:
        """Whether a thing's last state became visible before the one before it in time."""
        drawn: NDArray[np.bool_] = self._drawn("crossed", thing) % np.uint64(4) == 0
        return drawn

    def records_of(self, thing: int) -> Whole:
        """The numbers of the records about a thing, copies left out; empty when there is no such thing."""
        one = np.array([thing], dtype=np.int64)
        ways = ((0, 0), (self._second, NEW), (self._soon, SECOND), (self._third, SECOND))
        places = np.unique(np.concatenate([self._places(one, lag, first) for lag, first in ways]))
        places = places[places < self._timeline.records]
        records: Whole = places[(self.states(places).thing == thing) & (self.originals(places) == places)]
        return records

    def thing_in(self, block: Whole, purpose: str, number: Whole) -> Whole:
        """A thing that was new in a block, drawn for a number."""
        return block * BLOCK + (self._drawn(purpose, number) % np.uint64(NEW)).astype(np.int64)

    def _slots(self, number: Whole) -> tuple[Whole, Whole]:
        """The block of each record and its slot there; the slots of a block are in another order in each."""
        block = number // BLOCK
        turn = (self._drawn("turn", block) % np.uint64(BLOCK)).astype(np.int64)
        return block, (number % BLOCK - turn) * 7 % BLOCK

    def _places(self, thing: Whole, lag: int, first: int) -> Whole:
        """The inverse: the record in the slot that is a thing's, so many blocks after its own, from a slot on."""
        block = thing // BLOCK + lag
        turn = (self._drawn("turn", block) % np.uint64(BLOCK)).astype(np.int64)
        return block * BLOCK + ((thing % BLOCK + first) * 3 + turn) % BLOCK

    def _drawn(self, purpose: str, number: Whole) -> Numbers:
        return self._draw(purpose, number.astype(np.uint64))


@dataclass(frozen=True, slots=True)
class Selection:
    """Numbers of records in their order: some, then all from ``first`` up to ``last``, then some more."""

    head: Whole
    first: int
    last: int
    tail: Whole

    def __len__(self) -> int:
        return len(self.head) + self.last - self.first + len(self.tail)

    def numbers(self, start: int, stop: int) -> Whole:
        """Those from the place ``start`` up to ``stop``."""
        inner = len(self.head)
        outer = inner + self.last - self.first
        middle = np.arange(
            min(self.first + max(start - inner, 0), self.last),
            min(self.first + max(stop - inner, 0), self.last),
            dtype=np.int64,
        )
        return np.concatenate([self.head[start:stop], middle, self.tail[max(start - outer, 0) : max(stop - outer, 0)]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One endpoint's records.

    ``columns`` gives the JSON values of each field for records by number; ``updated`` is the moment that filters go by,
    which is never later than the moment a record became visible, and at most a day and ``late_records`` earlier.
    ``records_of`` finds the records about one thing by its id.
    """

    name: str
    fields: Sequence[str]
    timeline: Timeline
    columns: Callable[[Whole], Sequence[Texts]]
    updated: Callable[[Whole], Whole]
    late_records: int = _BACK
    records_of: Callable[[int], Whole] | None = None

    def select(self, since: int | None, until: int | None, as_of: int | None) -> Selection:
        """The records whose ``updated`` is in ``[since, until)`` and that were visible up to ``as_of``, taken in."""
        line = self.timeline
        seen = line.records if as_of is None else line.first_from(as_of + 1)
        first = 0 if since is None else min(line.first_from(since), seen)
        surely = first if since is None else min(line.first_from(since + _DAY) + self.late_records, seen)
        last = seen if until is None else min(line.first_from(until), seen)
        perhaps = seen if until is None else min(line.first_from(until + _DAY) + self.late_records, seen)
        if until is None:
            perhaps = last
        if surely >= last:
            return Selection(self._within(first, max(perhaps, first), since, until), 0, 0, _NONE)
        return Selection(
            self._within(first, surely, since, until), surely, last, self._within(last, perhaps, since, until)
        )

    def _within(self, first: int, last: int, since: int | None, until: int | None) -> Whole:
        number = np.arange(first, last, dtype=np.int64)
        if not len(number):
            return number
        updated = self.updated(number)
        kept = np.ones(len(number), dtype=bool)
        if since is not None:
            kept &= updated >= since
        if until is not None:
            kept &= updated < until
        return number[kept]


_NONE: Whole = np.empty(0, dtype=np.int64)
