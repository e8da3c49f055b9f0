"""The shaper: a batch of raw bodies in, typed rows and rejects out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ContractError, UsageError
from penstock.ports import Batch, Reject, Shaped, Window
from penstock.shape.careful import Sound, examine
from penstock.shape.infer import Kinds, infer_type
from penstock.shape.schema import MAX_COLUMNS, Column, Schema, name_columns, variant_name
from penstock.shape.select import paths_sql, rows_sql
from penstock.shape.types import PATTERNS, arrow_type
from penstock.sql import identifier, statement

Mode = Literal["evolve", "rescue", "reject", "freeze"]

SUB_RECORDS = 2**24
"""Order numbers a line has for the records in it."""

_CHUNK_ROWS = 8_192
_SAMPLE_ROWS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a stream says about its records.

    ``identity`` lists the key fields, empty for the content. ``declared`` maps fields to types. ``content`` asks for
    the hash of the content beside the identity, for streams whose rows can be replaced.
    """

    stream: str
    identity: Sequence[str] = ()
    declared: Sequence[tuple[str, str]] = ()
    event_time: str | None = None
    version: str | None = None
    content: bool = False
    columns: Mode = "evolve"
    types: Mode = "rescue"
    max_record_bytes: int = 16 * 2**20

    def with_declared(self, schema: Schema) -> Schema:
        """``schema`` with a column for each declared field that has none.

        Raises:
            UsageError: a field is declared as another type than its column has.
        """
        types = {c.field: c.type for c in schema.columns if not c.variant}
        for field, type_ in self.declared:
            if types.get(field, type_) != type_:
                raise UsageError(
                    f"stream {self.stream}: field {field!r} is declared {type_}, and its column is {types[field]}",
                    fix=f"declare it {types[field]}; a column keeps its type, so for another one name a new stream",
                )
        new = [(f, t) for f, t in self.declared if f not in types]
        names = name_columns([f for f, _ in new], (c.name for c in schema.columns))
        return schema.grown(Column(field=f, name=names[f], type=t, declared=True) for f, t in new)


class Shaper:
    """Shapes batches in a DuckDB of its own. Not thread-safe.

    Args:
        threads: DuckDB threads.
        memory_bytes: what DuckDB may use; a batch of 16 MiB needs about 150 MB, a bigger record eight times its size.
    """

    def __init__(self, rules: Rules, *, threads: int = 2, memory_bytes: int = 256 << 20) -> None:
        self.rules = rules
        self._refused: set[int] = set()
        self._expect_unknown = self._timed = False
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "threads": threads,
                "memory_limit": f"{max(memory_bytes, 8 * rules.max_record_bytes)}B",
                "arrow_lossless_conversion": True,
                "preserve_insertion_order": False,
            },
        )
        self._connection.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")

    def close(self) -> None:
        """Free the memory."""
        self._connection.close()

    def shape(self, batch: Batch, schema: Schema, window: Window | None = None) -> Shaped:
        """Shape a batch.

        Args:
            schema: the stream's columns as the ledger has them; version 0 when it never landed.
            window: take only records whose event time lies in it, or which have none.

        Returns:
            Rows after ``schema`` or, when the contract lets it evolve, a later version of it.

        Raises:
            ContractError: the stream is frozen and the batch breaks its contract.
        """
        fresh = schema.version == 0
        schema = self.rules.with_declared(schema)
        self._timed = window is not None
        may_infer = self.rules.columns == "evolve" or (fresh and not schema.columns)
        lines, unreadable = _lines(batch.bodies)
        rows = self._rows(lines, batch, schema, careful=False, unknown=self._expect_unknown)
        rejects, originals, records, careful = self._examine(batch, lines, rows, unreadable)
        if careful is not None:
            rows = rows.filter(pc.invert(rows["_pen_suspect"]))
            more = self._rows(careful, batch, schema, careful=True, unknown=self._expect_unknown)
            rows = pa.concat_tables([rows, more])
        self._connection.register("records", records)
        if pc.any(rows["_pen_more"]).as_py():
            schema, rows = self._place_unknown(batch, schema, rows, records, careful is not None, may_infer)
        else:
            self._expect_unknown = False
        if window is not None:
            rows = rows.filter(_inside(rows["_pen_event_time"], window))
        if self.rules.types == "evolve" and (variants := self._variants(batch, schema, rows)):
            schema = schema.grown(variants)
            rows = self._rows(records, batch, schema, careful=careful is not None, unknown=True)
            if window is not None:
                rows = rows.filter(_inside(rows["_pen_event_time"], window))
        self._connection.unregister("records")
        self._stop_if_frozen(batch, schema, rows)
        read = rows.num_rows + len(rejects) + len(batch.rejects)
        rows, broken = self._split_rejects(batch, rows, originals)
        rows, duplicates = self._once(rows, schema)
        if rows.num_rows and not schema.version:
            schema = replace(schema, version=1)
        orders = rows["_pen_o"].to_numpy()

        def original(row: int) -> bytes:
            return _original(batch, originals, int(orders[row]))

        return Shaped(
            rows=self._finish(batch, schema, rows),
            original=original,
            schema=schema,
            rejects=(*batch.rejects, *rejects, *broken),
            read=read,
            duplicates=duplicates,
            bytes=batch.bytes,
            positions=batch.positions,
            replayed=_settled(batch, self._refused),
        )

    def _examine(
        self, batch: Batch, lines: pa.Table, rows: pa.Table, unreadable: Sequence[int]
    ) -> tuple[list[Reject], dict[int, bytes], pa.Table, pa.Table | None]:
        """Take the suspects through the careful lane.

        Returns:
            What is no record; the bytes of those that are, by their order; all sound bodies; and those of the
            careful lane alone, None when nothing was suspect.
        """
        self._refused = set()
        marked = rows["_pen_suspect"]
        if not unreadable and not pc.any(marked).as_py():
            return [], {}, lines, None
        suspects = {*unreadable, *(rows["_pen_o"].filter(marked).to_numpy() // SUB_RECORDS).tolist()}
        rejects: list[Reject] = []
        originals: dict[int, bytes] = {}
        sound: list[tuple[int, str]] = []
        for n in sorted(suspects):
            for i, record in enumerate(examine(batch.bodies[n].as_py(), self.rules.max_record_bytes)):
                if isinstance(record, Sound):
                    order = n * SUB_RECORDS + i
                    sound.append((order, record.body))
                    originals[order] = record.original
                else:
                    self._refused.add(n)
                    body = record.original.strip(b" \t\r\n")
                    rejects.append(Reject(body=body, code=record.code, reason=record.reason, origin=batch.origin(n)))
        plain = np.ones(lines.num_rows, dtype=bool)
        plain[list(suspects)] = False
        careful = _rewritten(sound, lines.schema.field("body").type)
        return rejects, originals, pa.concat_tables([lines.filter(pa.array(plain)), careful]), careful

    def _place_unknown(
        self, batch: Batch, schema: Schema, rows: pa.Table, records: pa.Table, careful: bool, may_infer: bool
    ) -> tuple[Schema, pa.Table]:
        """Some records have fields without a column: grow by one for each that holds a value, or name them.

        Types come from a sample; where the batch contradicts one, it is inferred from all of it.
        """
        new = self._new_columns(batch, schema, records) if may_infer else []
        if not new:
            if not self._expect_unknown:
                rows = self._rows(records, batch, schema, careful=careful, unknown=True)
            self._expect_unknown = True
            return schema, rows
        grown = schema.grown(new)
        rows = self._rows(records, batch, grown, careful=careful, unknown=True)
        added = {c.field for c in new}
        contradicted = [f for f in _lost_fields(rows) if f in added]
        if contradicted:
            kinds = self._kinds(contradicted, "records")
            types = {f: infer_type(kinds[f], untyped=batch.untyped) for f in contradicted}
            grown = schema.grown(replace(c, type=types.get(c.field, c.type)) for c in new)
            rows = self._rows(records, batch, grown, careful=careful, unknown=True)
        return grown, rows

    def _new_columns(self, batch: Batch, schema: Schema, records: pa.Table) -> list[Column]:
        known = schema.fields
        found = self._connection.sql(
            "select distinct unnest(k) from"
            f" (select json_keys(body) as k, json_type(body, {paths_sql(known)}) as y from records)"
            " where len(k) > len(list_filter(y, lambda x: x is not null))"
        ).fetchall()
        fields = [f for (f,) in found if f not in set(known)]
        self._connection.register("sample", records.slice(0, _SAMPLE_ROWS))
        kinds = self._kinds(fields, "sample")
        self._connection.unregister("sample")
        if unseen := [f for f in fields if f not in kinds]:
            kinds |= self._kinds(unseen, "records")
        order = self._first_seen([f for f in fields if f in kinds])[: MAX_COLUMNS - len(schema.columns)]
        names = name_columns(order, (c.name for c in schema.columns))
        return [Column(field=f, name=names[f], type=infer_type(kinds[f], untyped=batch.untyped)) for f in order]

    def _first_seen(self, fields: Sequence[str]) -> list[str]:
        """``fields`` in the order of the first record that has them, and in it by place."""
        table = pa.table({"field": pa.array(fields, pa.string())})
        self._connection.register("fields", table)
        rows = self._connection.sql(
            "select field from (select unnest(k) as field, o, generate_subscripts(k, 1) as place"
            " from (select json_keys(body) as k, o from records))"
            " join fields using (field) group by field order by min((o, place))"
        ).fetchall()
        self._connection.unregister("fields")
        return [f for (f,) in rows]

    def _kinds(self, fields: Sequence[str], source: str) -> dict[str, Kinds]:
        """Field → what its values are in table ``source``, for fields with a value."""
        result = self._connection.sql(
            statement(
                "penstock.shape",
                "kinds.sql",
                count=str(len(fields)),
                paths=paths_sql(fields),
                source=source,
                plain_number=r"regexp_full_match(t, '-?(0|[1-9]\d*)(\.\d+)?')",
                **PATTERNS,
            )
        )
        names = [d[0] for d in result.description]
        rows = (dict(zip(names, row, strict=True)) for row in result.fetchall())
        return {fields[row["i"] - 1]: row for row in rows}

    def _variants(self, batch: Batch, schema: Schema, rows: pa.Table) -> list[Column]:
        """Columns for the values that fit none of their field's columns."""
        columned = set(schema.fields)
        fields = [f for f in _lost_fields(rows) if f in columned]
        misfits = rows.filter(pc.is_valid(rows["_pen_lost"]))
        lost = misfits["_pen_lost"].to_pylist()
        added: list[Column] = []
        for field in fields[: MAX_COLUMNS - len(schema.columns)]:
            chosen = pa.array([field in fields_ for fields_ in lost])
            self._connection.register("misfit", pa.table({"o": misfits["_pen_o"].filter(chosen)}))
            kinds = self._kinds([field], "(from records semi join misfit using (o))")
            self._connection.unregister("misfit")
            mine = [c for c in schema.columns if c.field == field]
            type_ = infer_type(kinds[field], untyped=batch.untyped)
            if any(c.type == type_ for c in mine):
                type_ = "json"
            name = variant_name(mine[0].name, type_, [c.name for c in (*schema.columns, *added)])
            added.append(Column(field=field, name=name, type=type_, variant=True))
        return added

    def _rows(self, bodies: pa.Table, batch: Batch, schema: Schema, *, careful: bool, unknown: bool) -> pa.Table:
        self._connection.register("bodies", bodies)
        sql = rows_sql(
            "bodies", schema, self.rules, careful=careful, unknown=unknown, untyped=batch.untyped, timed=self._timed
        )
        rows = self._connection.sql(sql).to_arrow_table()
        self._connection.unregister("bodies")
        for name in ("_pen_more", "_pen_suspect"):
            place = rows.schema.get_field_index(name)
            rows = rows.set_column(place, name, rows[name].cast(pa.bool_()))
        return rows

    def _stop_if_frozen(self, batch: Batch, schema: Schema, rows: pa.Table) -> None:
        if "freeze" not in (self.rules.columns, self.rules.types) or rows["_pen_lost"].null_count == rows.num_rows:
            return
        columned = set(schema.fields)
        for order, lost in zip(rows["_pen_o"].to_pylist(), rows["_pen_lost"].to_pylist(), strict=True):
            for field in lost or ():
                known = field in columned
                if (self.rules.types if known else self.rules.columns) == "freeze":
                    what = "holds a value that does not fit its column" if known else "has no column"
                    raise ContractError(
                        f"stream {self.rules.stream} is frozen, and field {field!r} {what}",
                        where=batch.origin(order // SUB_RECORDS),
                        fix="mend the record, declare the field under columns:, or relax contract:; nothing landed",
                    )

    def _split_rejects(
        self, batch: Batch, rows: pa.Table, originals: dict[int, bytes]
    ) -> tuple[pa.Table, list[Reject]]:
        if rows["_pen_reject"].null_count == rows.num_rows:
            return rows, []
        bad = rows.filter(pc.is_valid(rows["_pen_reject"]))
        rejects = []
        for order, code, lost in zip(
            bad["_pen_o"].to_pylist(), bad["_pen_reject"].to_pylist(), bad["_pen_lost"].to_pylist(), strict=True
        ):
            n = order // SUB_RECORDS
            self._refused.add(n)
            if code == "missing_identity":
                reason = f"one of the identity fields is absent or null: {', '.join(self.rules.identity)}"
            else:
                reason = f"outside the contract: {', '.join(lost)}"
            body = _original(batch, originals, order)
            rejects.append(Reject(body=body, code=code, reason=reason, origin=batch.origin(n)))
        return rows.filter(pc.is_null(rows["_pen_reject"])), rejects

    def _once(self, rows: pa.Table, schema: Schema) -> tuple[pa.Table, int]:
        """Keep one row of each identity: the first, or for merge the one of the greatest version."""
        if self.rules.content:
            version = next((c.name for c in schema.columns if c.field == self.rules.version), None)
            self._connection.register("candidates", rows)
            by = f"{identifier(version)} desc nulls last, " if version else ""
            kept = self._connection.sql(
                "select * from candidates qualify row_number() over"
                f" (partition by _pen_id order by {by}_pen_content desc) = 1"
            ).to_arrow_table()
            self._connection.unregister("candidates")
            return kept, rows.num_rows - kept.num_rows
        first = _first_of_each(rows)
        if first is None:
            return rows, 0
        kept = rows.filter(first)
        return kept, rows.num_rows - kept.num_rows

    def _finish(self, batch: Batch, schema: Schema, rows: pa.Table) -> pa.Table:
        """The columns that land, each of its exact Arrow type, in table order."""
        columns = {c.name: _cast(rows[c.name], arrow_type(c.type)) for c in schema.columns}
        columns["_pen_id"] = _cast(rows["_pen_id"], pa.uuid())
        columns["_pen_origin"] = _origins(batch, rows["_pen_o"])
        columns["_pen_rescued"] = _cast(rows["_pen_rescued"], pa.json_(pa.string()))
        if self.rules.content:
            columns["_pen_content"] = _cast(rows["_pen_content"], pa.uuid())
        return pa.table(columns)


def _original(batch: Batch, originals: dict[int, bytes], order: int) -> bytes:
    body: bytes = originals[order] if order in originals else batch.bodies[order // SUB_RECORDS].as_py()
    return body.strip(b" \t\r\n")


def _settled(batch: Batch, refused: set[int]) -> tuple[str, ...]:
    return tuple(id_ for n, id_ in enumerate(batch.replays) if n not in refused)


def _cast(column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    if column.type == type_:
        return column
    if isinstance(type_, pa.BaseExtensionType):
        storage = column.cast(type_.storage_type)
        return pa.chunked_array([type_.wrap_array(c) for c in storage.chunks], type_)
    return column.cast(type_)


def _lines(bodies: pa.Array) -> tuple[pa.Table, list[int]]:
    """A table ``(o, body)`` in chunks, so that DuckDB's threads can share it, and the places that are not UTF-8."""
    texts, unreadable = _utf8(bodies)
    orders = pa.array(np.arange(len(texts), dtype=np.int64) * SUB_RECORDS)
    schema = pa.schema([("o", pa.int64()), ("body", texts.type)])
    starts = range(0, max(len(texts), 1), _CHUNK_ROWS)
    chunks = [pa.record_batch([a.slice(i, _CHUNK_ROWS) for a in (orders, texts)], schema=schema) for i in starts]
    return pa.Table.from_batches(chunks), unreadable


def _utf8(bodies: pa.Array) -> tuple[pa.Array, list[int]]:
    """Bodies as texts, with null for what is not UTF-8, and the places of those."""
    text = pa.large_string() if pa.types.is_large_binary(bodies.type) else pa.string()
    try:
        return bodies.cast(text), []
    except pa.ArrowInvalid:
        pass
    unreadable = []
    values: list[str | None] = []
    for n, body in enumerate(bodies):
        try:
            values.append(body.as_py().decode("utf-8"))
        except UnicodeDecodeError:
            values.append(None)
            unreadable.append(n)
    return pa.array(values, text), unreadable


def _inside(times: pa.ChunkedArray, window: Window) -> pa.ChunkedArray:
    """Whether an event time lies in the window, or there is none."""
    start, end = (pa.scalar(t, pa.timestamp("us")) for t in (window.start, window.end))
    inside = pc.and_(pc.greater_equal(times, start), pc.less(times, end))
    return pc.fill_null(inside, True)


def _rewritten(sound: Sequence[tuple[int, str]], type_: pa.DataType) -> pa.Table:
    orders, bodies = zip(*sound, strict=True) if sound else ((), ())
    return pa.table({"o": pa.array(orders, pa.int64()), "body": pa.array(bodies, type_)})


def _first_of_each(rows: pa.Table) -> pa.Array | None:
    """Which rows are the first of their identity in record order, as a mask; None when all are."""
    halves = id_halves(rows["_pen_id"])
    ranked = np.argsort(halves[:, 0], kind="stable")
    high = halves[ranked, 0]
    equal = high[1:] == high[:-1]
    if not equal.any():
        return None
    near = np.zeros(len(ranked), dtype=bool)
    near[1:] |= equal
    near[:-1] |= equal
    twins = ranked[near]
    order = rows["_pen_o"].to_numpy()
    twins = twins[np.lexsort((order[twins], halves[twins, 1], halves[twins, 0]))]
    later = twins[1:][(halves[twins][1:] == halves[twins][:-1]).all(axis=1)]
    first = np.ones(len(ranked), dtype=bool)
    first[later] = False
    return pa.array(first)


def id_halves(ids: pa.ChunkedArray) -> Any:
    """Identities as an ``(n, 2)`` array of big-endian 64-bit halves, without a copy where that is possible."""
    array = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], ids.type)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    buffer = array.buffers()[1]
    if buffer is None:
        return np.empty((0, 2), dtype=">u8")
    raw = np.frombuffer(buffer, dtype=">u8")
    return raw.reshape(-1, 2)[array.offset : array.offset + len(array)]


def _origins(batch: Batch, orders: pa.ChunkedArray) -> pa.ChunkedArray:
    """``place#number`` of each row, or just its place."""
    lines = orders.to_numpy() // SUB_RECORDS
    starts = np.array([s.start for s in batch.segments], dtype=np.int64)
    which = np.searchsorted(starts, lines, side="right") - 1
    bases = np.array([(s.number or 0) - s.start for s in batch.segments], dtype=np.int64)
    numbers = pa.array(lines + bases[which] if len(lines) else lines).cast(pa.string())
    if len(batch.segments) == 1 and batch.segments[0].number is not None:
        return pc.binary_join_element_wise(pa.scalar(batch.segments[0].place), numbers, "#")
    places = pa.array([s.place for s in batch.segments], pa.string()).take(pa.array(which))
    numbered = np.array([s.number is not None for s in batch.segments], dtype=bool)
    return pc.if_else(pa.array(numbered[which]), pc.binary_join_element_wise(places, numbers, "#"), places)


def _lost_fields(rows: pa.Table) -> list[str]:
    if rows["_pen_lost"].null_count == rows.num_rows:
        return []
    found = pc.unique(pc.list_flatten(rows["_pen_lost"]))
    return sorted(found.to_pylist())
