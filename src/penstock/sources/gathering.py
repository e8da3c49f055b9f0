"""Records cut from files and answers, on their way to becoming a batch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from penstock.ports import Batch, Position, Reject, Segment
from penstock.records.splitters import Cut


@dataclass(slots=True)
class Gathering:
    """Cuts on their way to becoming a batch."""

    bodies: list[pa.Array] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)
    rows: int = 0
    bytes: int = 0
    untyped: bool = False

    def add(self, place: str, cut: Cut) -> None:
        breaks = np.flatnonzero(np.diff(cut.numbers) != 1) + 1
        for start in (0, *breaks) if len(cut.numbers) else ():
            self.segments.append(Segment(start=self.rows + int(start), place=place, number=int(cut.numbers[start])))
        self.bodies.append(cut.bodies)
        self.rows += len(cut.bodies)
        self.bytes += cut.consumed

    def take(self) -> Batch:
        """The batch so far; what comes next starts another."""
        batch = self._batch()
        self.bodies, self.segments, self.rejects, self.positions = [], [], [], {}
        self.rows = self.bytes = 0
        return batch

    def _batch(self) -> Batch:
        wide = any(pa.types.is_large_binary(b.type) for b in self.bodies)
        type_ = pa.large_binary() if wide else pa.binary()
        bodies = [b.cast(type_) for b in self.bodies] if wide else self.bodies
        return Batch(
            bodies=bodies[0] if len(bodies) == 1 else pa.concat_arrays(bodies) if bodies else pa.array([], type_),
            segments=tuple(self.segments),
            positions=tuple(self.positions.values()),
            rejects=tuple(self.rejects),
            untyped=self.untyped,
            bytes=self.bytes,
        )
