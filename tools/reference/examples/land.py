import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

import penstock
from penstock.errors import SourceError
from penstock.ports import Batch, Position, Segment


class Visits:
    """A source of one's own: a list that grows."""

    name = "visits"

    def __init__(self, visits: Sequence[Mapping[str, Any]]) -> None:
        self.failures: list[SourceError] = []
        self._visits = visits

    def read(self, known: Mapping[str, Mapping[str, Any]]) -> Iterator[Batch]:
        """Those after the last one that has landed."""
        done = known.get("list", {}).get("done", 0)
        bodies = [json.dumps(visit).encode() for visit in self._visits[done:]]
        if bodies:
            yield Batch(
                bodies=pa.array(bodies, pa.binary()),
                segments=[Segment(start=0, place="visits", number=done + 1)],
                positions=[Position(source=self.name, key="list", state={"done": len(self._visits)})],
            )

    def acknowledge(self, acknowledgements: Sequence[Any], /) -> None:
        """They are durable; a queue would be told here."""


visits = [{"event": "page_viewed", "visitor": f"v-{number}"} for number in range(3)]
print(penstock.land("shop", "events", source=Visits(visits)).total("landed"))
print(penstock.land("shop", "events", source=Visits(visits)).total("landed"))
