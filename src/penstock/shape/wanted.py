"""What a batch brought that was wanted, unparsed: what the lake keeps of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.ports import Batch, Taken
from penstock.shape.lanes.laying import laid
from penstock.shape.lines import Lines
from penstock.shape.prepared import Statements
from penstock.shape.rejects import storable
from penstock.shape.withheld import without_dropped
from penstock.spec import StreamSpec


def wanted(statements: Callable[[], Statements], spec: StreamSpec, batch: Batch, places: Any) -> Taken:
    """The bodies at some places of the batch, or all of them, without what the stream drops: as its layout has them,
    then."""
    bodies = batch.bodies if places is None or len(places) == len(batch.bodies) else batch.bodies.take(places)
    if spec.layout.drop and len(bodies):
        bodies = _without_dropped(statements(), spec, batch, places, bodies)
    return Taken(bodies=bodies, rejects=storable(batch.rejects, spec.layout), untyped=batch.untyped)


def _without_dropped(
    statements: Statements, spec: StreamSpec, batch: Batch, places: Any, bodies: pa.BinaryArray
) -> pa.BinaryArray:
    kept = laid(statements, spec, Lines.of(bodies).texts())["body"].combine_chunks().cast(bodies.type)
    if not kept.null_count:
        return kept
    values = kept.to_pylist()
    for i in np.flatnonzero(kept.is_null().to_numpy(zero_copy_only=False)).tolist():
        origin = batch.origin(i if places is None else int(places[i]))
        values[i] = without_dropped(bodies[i].as_py().strip(b" \t\r\n"), spec.layout, origin)
    return pa.array(values, bodies.type)
