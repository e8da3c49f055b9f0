"""Which records are the same: by their message's id where the stream says so; and which row of each stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.native.kernel import kernel
from penstock.native.messages import message_identities
from penstock.ports import CONFLICT, Batch, Reject
from penstock.shape.arrow import id_halves
from penstock.shape.lines import SUB_RECORDS
from penstock.shape.prepared import with_uuids
from penstock.shape.rejects import Arrived

if TYPE_CHECKING:
    import duckdb


def by_message(connection: Callable[[], duckdb.DuckDBPyConnection], batch: Batch, rows: pa.Table) -> pa.Table:
    """Rows with identities from the messages' ids; of several records in one message each has its own. Without an id
    there is no identity.

    Args:
        connection: opens a DuckDB, where there is no kernel.
    """
    orders = rows["_pen_o"].to_numpy()
    if batch.message_ids is None:
        ids = pa.nulls(len(orders), pa.string())
    else:
        ids = batch.message_ids.take(pa.array(orders // SUB_RECORDS))
    parts = orders % SUB_RECORDS
    for n, part in batch.parts.items():
        parts[orders == n * SUB_RECORDS] = part
    library = kernel()
    if library is None:
        identities = _message_identities(connection(), orders, ids, parts)
    else:
        identities = message_identities(library, ids, parts)
    rows = rows.set_column(rows.schema.get_field_index("_pen_id"), "_pen_id", identities)
    nameless = pc.and_(pc.is_null(ids), pc.is_null(rows["_pen_reject"]))
    reject = pc.if_else(nameless, pa.scalar("missing_identity"), rows["_pen_reject"])
    return rows.set_column(rows.schema.get_field_index("_pen_reject"), "_pen_reject", reject)


def _message_identities(
    connection: duckdb.DuckDBPyConnection, orders: Any, ids: pa.StringArray, parts: Any
) -> pa.ChunkedArray:
    """As :func:`penstock.native.messages.message_identities`."""
    connection.register("messages", pa.table({"o": orders, "part": parts, "id": ids}))
    named = connection.sql(
        "select sha256(to_json(case when part = 0 then [id] else [id, part::varchar] end)::varchar) as _pen_id"
        " from messages order by o"
    ).to_arrow_table()
    connection.unregister("messages")
    back = np.empty(len(orders), dtype=np.int64)
    back[np.argsort(orders, kind="stable")] = np.arange(len(orders))
    return with_uuids(named.take(pa.array(back)))["_pen_id"]


def without_conflicts(
    connection: Callable[[], duckdb.DuckDBPyConnection], rows: pa.Table, arrived: Arrived
) -> tuple[pa.Table, list[Reject]]:
    """One message id, two bodies: all that differ from the first are no duplicates of it."""
    if not arrived.spec.message or arrived.spec.version is not None or not len(_twice(rows)):
        return rows, []
    candidates = rows.select(["_pen_id", "_pen_content", "_pen_o"])
    opened = connection()
    opened.register("candidates", candidates)
    differing = opened.sql(
        "select _pen_o from candidates qualify _pen_content <> first_value(_pen_content)"
        " over (partition by _pen_id order by _pen_o)"
    ).fetchnumpy()["_pen_o"]
    opened.unregister("candidates")
    if not len(differing):
        return rows, []
    contradicts = pa.array(np.isin(rows["_pen_o"].to_numpy(), differing))
    rejects = []
    for row in candidates.filter(contradicts).sort_by("_pen_o").to_pylist():
        reject = arrived.reject(row["_pen_o"], "identity_conflict", CONFLICT)
        rejects.append(replace(reject, claim=(row["_pen_id"].bytes, row["_pen_content"].bytes)))
    return rows.filter(pc.invert(contradicts)), rejects


def _twice(rows: pa.Table) -> Any:
    """The upper halves of identities that more than one row has, or may have, in their order."""
    ranked = np.sort(id_halves(rows["_pen_id"])[:, 0].view("<u8"))
    return ranked[1:][ranked[1:] == ranked[:-1]]


def first_rows(rows: pa.Table) -> pa.Table:
    """The first row of each identity, in the records' order."""
    twice = _twice(rows)
    if not len(twice):
        return rows
    halves = id_halves(rows["_pen_id"])
    high = halves[:, 0].view("<u8")
    places = np.searchsorted(twice, high)
    places[places == len(twice)] = 0
    twins = np.flatnonzero(twice[places] == high)
    order = rows["_pen_o"].to_numpy()
    twins = twins[np.lexsort((order[twins], halves[twins, 1], halves[twins, 0]))]
    later = twins[1:][(halves[twins][1:] == halves[twins][:-1]).all(axis=1)]
    first = np.ones(len(high), dtype=bool)
    first[later] = False
    return rows.filter(pa.array(first))


def latest_rows(connection: Callable[[], duckdb.DuckDBPyConnection], rows: pa.Table) -> pa.Table:
    """The row of the greatest version of each identity; where versions are equal, the same one in any order."""
    if not len(_twice(rows)):
        return rows
    opened = connection()
    opened.register("candidates", rows)
    kept = opened.sql(
        "select * from candidates qualify row_number() over"
        " (partition by _pen_id order by _pen_version desc nulls last, _pen_content desc) = 1"
    ).to_arrow_table()
    opened.unregister("candidates")
    return kept
