"""Random change sets: records of few values, so that keys meet, times tie, and what is late changes what is there."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.plural import count
from penstock.ports import Batch, Segment

if TYPE_CHECKING:
    from penstock.errors import SourceError
    from penstock.spec import StreamSpec
    from penstock.verify.values import Values

SOURCE = "verify"
"""The name under which made-up records land."""
Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Records that land together in one stream."""

    stream: str
    records: Sequence[Record]
    ids: Sequence[str]
    """The ids of their messages, for a stream that goes by those."""

    def __str__(self) -> str:
        return f"{count(len(self.records), 'record')} into {self.stream}"


class RecordsSource:
    """A load as a source."""

    name = SOURCE

    def __init__(self, load: Load) -> None:
        self.failures: list[SourceError] = []
        self._load = load

    def read(self, known: Mapping[str, Mapping[str, Any]]) -> Iterator[Batch]:
        """Yield the records."""
        del known
        import pyarrow as pa

        bodies = [json.dumps(record).encode() for record in self._load.records]
        yield Batch(
            bodies=pa.array(bodies, pa.large_binary()),
            segments=[Segment(start=0, place=SOURCE, number=1)],
            message_ids=pa.array(self._load.ids, pa.string()),
            bytes=sum(map(len, bodies)),
        )

    def acknowledge(self, acknowledgements: Sequence[Any], /) -> None:
        """There is nothing to forget."""


class Changes:
    """The change sets of one seed.

    Args:
        specs: the streams.
        values: what their fields may have.
    """

    def __init__(self, seed: int, specs: Mapping[str, StreamSpec], values: Mapping[str, Values]) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - no secret hangs on it: the same is to happen again
        self._streams = [_Stream(self._chance, specs[name], values[name]) for name in sorted(values)]

    def first(self) -> list[Load]:
        """What is there at the first build: something of every stream."""
        return [stream.load(self._chance.choice([1, 5, 20])) for stream in self._streams]

    def next(self) -> list[Load]:
        """What lands before the next one."""
        loads = self._chance.choice([1, 1, 2, 3])
        return [self._chance.choice(self._streams).load(self._chance.choice([1, 1, 2, 5, 12])) for _ in range(loads)]


class _Stream:
    def __init__(self, chance: random.Random, spec: StreamSpec, values: Values) -> None:
        self._chance, self._spec = chance, spec
        self._values = {field: self._few(field, known) for field, known in values.fields.items()}
        self._landed: list[Record] = []

    def load(self, count: int) -> Load:
        """The next load. One into a stream that loads replace has what was there, with changes, and without some."""
        records = [self._record() for _ in range(count)]
        if self._spec.disposition == "replace":
            records += [record for record in self._landed if self._chance.random() < 0.7]
            self._landed = records
        else:
            self._landed += records
        ids = [str(self._chance.randrange(10**6)) for _ in records]
        return Load(stream=self._spec.stream, records=records, ids=ids)

    def _few(self, field: str, known: Sequence[Any]) -> list[Any]:
        """A few of a field's values; of a key's fewer, so that records meet."""
        most = 4 if field in self._spec.identity else 10
        return self._chance.sample(list(known), min(len(known), self._chance.randint(1, most)))

    def _record(self) -> Record:
        chance = self._chance
        if self._landed and chance.random() < 0.2:  # said again, or the same with another value: a tie, or a change
            record = dict(chance.choice(self._landed))
            if chance.random() < 0.7:
                self._set(record, chance.choice(list(self._values)))
            return record
        record = {}
        for field in self._values:
            self._set(record, field)
        return record

    def _set(self, record: Record, field: str) -> None:
        needed = field in self._spec.identity or field == self._spec.version
        value = None if not needed and self._chance.random() < 0.05 else self._chance.choice(self._values[field])
        if value is None:
            record.pop(field, None)
        else:
            record[field] = value
