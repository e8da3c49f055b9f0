"""The shaper: a batch of raw bodies in, typed rows and rejects out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ContractError, PenstockError
from penstock.ports import CONFLICT, Batch, Reason, Reject, Shaped, Taken, Window
from penstock.schema import MAX_COLUMNS, Column, Schema, name_columns, variant_name
from penstock.shape.arrow import (
    SUB_RECORDS,
    cast,
    first_of_each,
    hashed,
    lines_of,
    origins_of,
    places_of,
    rewritten,
    rows_inside,
    without,
)
from penstock.shape.careful import Sound, examine, without_dropped
from penstock.shape.columns import with_declared
from penstock.shape.flat import Leaves, laid_sql, leaves_in, structures_sql
from penstock.shape.infer import Kinds, infer_type
from penstock.shape.personal import plain, pseudonymised
from penstock.shape.prepared import Prepared
from penstock.shape.refusals import conflicts, refusal
from penstock.shape.select import paths_sql, rows_sql
from penstock.shape.types import PATTERNS, arrow_type
from penstock.shape.uniform import Template, fits, learn, uniform_sql
from penstock.spec import StreamSpec
from penstock.sql import statement

Refused = Mapping[bytes, Mapping[bytes, str]]
"""What a destination refuses: identity → the record's SHA-256, of its bytes as quarantine keeps them → its words."""

_SAMPLE_ROWS = 2_000
_MAX_MEMORY_BYTES = 16 << 30
_MAX_TEMPLATES = 4
_MAX_LESSON = 1 << 16
_MAX_LESSONS = 16
"""Templates tried and found useless, until no more are."""


class Shaper:
    """Shapes batches in a DuckDB of its own. Not thread-safe.

    Args:
        threads: DuckDB threads.
        memory_bytes: what DuckDB may use; a batch of 16 MiB needs about 150 MB, a bigger record eight times its size.
    """

    def __init__(self, spec: StreamSpec, *, threads: int = 2, memory_bytes: int = 256 << 20) -> None:
        self.spec = spec
        self._memory_bytes = max(memory_bytes, 8 * spec.max_record_bytes)
        self._refused: set[int] = set()
        self._expect_unknown = self._timed = False
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "threads": threads,
                "memory_limit": f"{self._memory_bytes}B",
                "arrow_lossless_conversion": True,
                "preserve_insertion_order": False,
            },
        )
        self._connection.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")
        self._prepared = Prepared(self._connection)
        self._templates: list[Template] = []
        self._lessons = _MAX_LESSONS

    def close(self) -> None:
        """Free the memory."""
        self._connection.close()

    def shape(
        self, batch: Batch, schema: Schema, window: Window | None = None, refused: Refused | None = None
    ) -> Shaped:
        """Shape a batch.

        Args:
            schema: the stream's columns as the ledger has them; version 0 when it never landed.
            window: take only records whose event time lies in it, or which have none.
            refused: what the destination is known to refuse.

        Returns:
            Rows after ``schema`` or, when the contract lets it evolve, a later version of it.

        Raises:
            ContractError: the stream is frozen and the batch breaks its contract.
            PenstockError: the batch needs more than 16 GiB of memory.
        """
        while True:
            try:
                shaped = self._shape(batch, plain(schema), window, refused or {})
                if shaped.schema.reserved or self.spec.pii:
                    shaped = pseudonymised(self._connection, shaped, schema, self.spec.pii, self.spec.keys)
                return shaped
            except duckdb.OutOfMemoryException:
                # records of many fields take more than most; nothing has been kept of the attempt
                if self._memory_bytes > _MAX_MEMORY_BYTES // 2:
                    raise PenstockError(
                        f"stream {self.spec.stream}: a batch needs over {self._memory_bytes >> 20:,} MiB of memory",
                        where=batch.origin(0),
                        fix="set a smaller batch_bytes under load:",
                    ) from None
                self._memory_bytes *= 2
                self._connection.execute(f"set memory_limit = '{self._memory_bytes}B'")

    def _shape(self, batch: Batch, schema: Schema, window: Window | None, refused: Refused) -> Shaped:
        fresh = schema.version == 0
        schema = with_declared(schema, self.spec)
        self._timed = window is not None
        self._refused = set()
        lines, unreadable = lines_of(batch.bodies)
        found, lines = self._uniform(lines, batch, schema)
        rejects: list[Reject] = []
        originals: dict[int, bytes] = {}
        if window is not None:
            found = [rows_inside(rows, window) for rows in found]
        if lines.num_rows or not found:
            lines = self._laid(lines)
            may_infer = self.spec.columns == "evolve" or (fresh and not schema.columns)
            schema, others, rejects, originals = self._others(batch, lines, unreadable, schema, window, may_infer)
            found.append(others)
        rows = pa.concat_tables(found, promote_options="default") if len(found) > 1 else found[0]
        if self.spec.message:
            rows = self._by_message(batch, rows)
        rows = hashed(rows, "_pen_id", "_pen_content") if self.spec.content else hashed(rows, "_pen_id")
        wanted = None if window is None else rows["_pen_o"]
        read = rows.num_rows + len(rejects) + len(batch.rejects)
        rows, broken = self._split_rejects(batch, rows, schema, originals)
        rows, conflicting = self._split_conflicts(batch, rows, originals)
        # before one of each identity is chosen: another of the same identity may be sound
        rows, unwanted = self._split_refused(batch, rows, refused, originals)
        rows, duplicates = self._once(rows)
        if rows.num_rows and not schema.version:
            schema = replace(schema, version=1)
        orders = rows["_pen_o"].to_numpy()

        def refuse(row: int, code: Reason, reason: str) -> Reject:
            return self._refusal(batch, int(orders[row]), originals, code, reason)

        kept = (*self._storable(*batch.rejects), *rejects, *broken, *conflicting, *unwanted)
        touched = frozenset(self._refused)

        def taken() -> Taken:
            places = None if wanted is None else places_of(wanted, touched)
            bodies = self._without_dropped(batch, places)
            return Taken(bodies=bodies, rejects=self._storable(*batch.rejects), untyped=batch.untyped)

        return Shaped(
            rows=self._finish(batch, schema, rows),
            taken=taken,
            refused=refuse,
            schema=schema,
            rejects=kept,
            read=read,
            duplicates=duplicates,
            bytes=batch.bytes,
            positions=batch.positions,
            replayed=tuple(sorted({*batch.replays} - {r.entry for r in kept if r.entry is not None})),
        )

    def _without_dropped(self, batch: Batch, places: Any) -> pa.Array:
        """The bodies at some places, or all of them, without what the stream drops: as its layout has them, then."""
        bodies = batch.bodies if places is None or len(places) == len(batch.bodies) else batch.bodies.take(places)
        if not self.spec.layout.drop or not len(bodies):
            return bodies
        lines, _ = lines_of(bodies)
        laid = self._laid(lines)["body"].combine_chunks().cast(bodies.type)
        if not laid.null_count:
            return laid
        kept = laid.to_pylist()
        for i in np.flatnonzero(laid.is_null().to_numpy(zero_copy_only=False)).tolist():
            origin = batch.origin(i if places is None else int(places[i]))
            kept[i] = without_dropped(bodies[i].as_py().strip(b" \t\r\n"), self.spec.layout, origin)
        return pa.array(kept, bodies.type)

    def _refusal(self, batch: Batch, order: int, originals: Mapping[int, bytes], code: Reason, reason: str) -> Reject:
        """A record that is sound as one that cannot land."""
        return refusal(batch, self.spec.layout, order, originals.get(order), code, reason)

    def _storable(self, *rejects: Reject) -> Sequence[Reject]:
        """Rejects without what the stream drops."""
        layout = self.spec.layout
        if not layout.drop:
            return rejects
        return [replace(r, body=without_dropped(r.body, layout, r.origin)) for r in rejects]

    def _uniform(self, lines: pa.Table, batch: Batch, schema: Schema) -> tuple[list[pa.Table], pa.Table]:
        """Take the lines that follow a template, known or learned now. Returns their rows and the lines left."""
        found: list[pa.Table] = []
        few = lines.num_rows // 20

        def take(template: Template, lines: pa.Table) -> pa.Table:
            source = self._prepared.source(lines)
            sql = uniform_sql(source, template, schema, self.spec, untyped=batch.untyped, timed=self._timed)
            rows = self._prepared.run(sql, lines)
            same = rows["_pen_same"]
            rows = rows.drop_columns("_pen_same")
            if not pc.all(same).as_py():
                rows = rows.filter(same)
            if rows.num_rows:
                found.append(rows)
            return without(lines, rows["_pen_o"]) if rows.num_rows < lines.num_rows else lines.slice(0, 0)

        for template in self._templates:
            if lines.num_rows > few and fits(template, schema, self.spec):
                lines = take(template, lines)
        for _ in range(_MAX_TEMPLATES):
            if lines.num_rows <= few or self._lessons <= 0:
                break
            body = lines["body"][lines.num_rows // 2].as_py()
            learned = None if body is None or len(body) > _MAX_LESSON else learn(body, schema, self.spec.layout)
            if learned is None or learned in self._templates or not fits(learned, schema, self.spec):
                self._lessons -= 1
                break
            before = lines.num_rows
            lines = take(learned, lines)
            if before - lines.num_rows > few:
                self._templates = [learned, *self._templates][:_MAX_TEMPLATES]
            else:
                self._lessons -= 1
        return found, lines

    def _laid(self, lines: pa.Table) -> pa.Table:
        """The lines as the stream's layout has them; null where the careful lane has to see to that."""
        layout, most = self.spec.layout, self.spec.max_record_bytes
        if not layout or not lines.num_rows:
            return lines
        source = self._prepared.source(lines)
        leaves = Leaves()
        if layout.flatten:
            found = self._prepared.run(structures_sql(source, most), lines).sort_by("o")
            leaves = leaves_in(found["structure"].to_pylist())
        laid = self._prepared.run(laid_sql(source, layout, leaves, most), lines).sort_by("o")
        return pa.table({"o": laid["o"], "body": laid["body"].cast(lines.schema.field("body").type)})

    def _others(
        self,
        batch: Batch,
        lines: pa.Table,
        unreadable: Sequence[int],
        schema: Schema,
        window: Window | None,
        may_infer: bool,
    ) -> tuple[Schema, pa.Table, list[Reject], dict[int, bytes]]:
        """Rows of the records that follow no template, with the schema they may have made grow; what is no record;
        and the bytes of those that had to be rewritten, by their order."""
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
            rows = rows_inside(rows, window)
        if self.spec.types == "evolve" and (variants := self._variants(batch, schema, rows)):
            schema = schema.grown(variants)
            rows = self._rows(records, batch, schema, careful=careful is not None, unknown=True)
            if window is not None:
                rows = rows_inside(rows, window)
        self._connection.unregister("records")
        self._stop_if_frozen(batch, schema, rows, originals)
        return schema, rows, rejects, originals

    def _examine(
        self, batch: Batch, lines: pa.Table, rows: pa.Table, unreadable: Sequence[int]
    ) -> tuple[list[Reject], dict[int, bytes], pa.Table, pa.Table | None]:
        """Take the suspects through the careful lane.

        Returns:
            What is no record; the bytes of those that are, by their order; all sound bodies; and those of the
            careful lane alone, None when nothing was suspect.
        """
        marked = rows["_pen_suspect"]
        if not unreadable and not pc.any(marked).as_py():
            return [], {}, lines, None
        suspects = {*unreadable, *(rows["_pen_o"].filter(marked).to_numpy() // SUB_RECORDS).tolist()}
        rejects: list[Reject] = []
        originals: dict[int, bytes] = {}
        sound: list[tuple[int, str]] = []
        for n in sorted(suspects):
            for i, record in enumerate(examine(batch.bodies[n].as_py(), self.spec.max_record_bytes, self.spec.layout)):
                if isinstance(record, Sound):
                    order = n * SUB_RECORDS + i
                    sound.append((order, record.body))
                    originals[order] = record.original
                else:
                    self._refused.add(n)
                    order = n * SUB_RECORDS + i
                    rejects.append(refusal(batch, self.spec.layout, order, record.original, record.code, record.reason))
        careful = rewritten(sound, lines.schema.field("body").type)
        records = without(lines, np.fromiter(suspects, np.int64, len(suspects)) * SUB_RECORDS)
        return rejects, originals, pa.concat_tables([records, careful]), careful

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
        names = name_columns(order, schema.names)
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
            name = variant_name(mine[0].name, type_, [*schema.names, *(c.name for c in added)])
            added.append(Column(field=field, name=name, type=type_, variant=True))
        return added

    def _rows(self, bodies: pa.Table, batch: Batch, schema: Schema, *, careful: bool, unknown: bool) -> pa.Table:
        sql = rows_sql(
            self._prepared.source(bodies),
            schema,
            self.spec,
            careful=careful,
            unknown=unknown,
            untyped=batch.untyped,
            timed=self._timed,
        )
        return self._prepared.run(sql, bodies)

    def _stop_if_frozen(self, batch: Batch, schema: Schema, rows: pa.Table, originals: Mapping[int, bytes]) -> None:
        if "freeze" not in (self.spec.columns, self.spec.types) or rows["_pen_lost"].null_count == rows.num_rows:
            return
        columned = set(schema.fields)
        for order, lost in zip(rows["_pen_o"].to_pylist(), rows["_pen_lost"].to_pylist(), strict=True):
            for field in lost or ():
                known = field in columned
                if (self.spec.types if known else self.spec.columns) == "freeze":
                    (misfit,) = self._conflicts(batch, order, originals, schema, [field])
                    what = f"a value does not fit its column: {misfit}" if known else f"field {field!r} has no column"
                    raise ContractError(
                        f"stream {self.spec.stream} is frozen, and {what}",
                        where=batch.origin(order // SUB_RECORDS),
                        fix="mend the record, declare the field under columns:, or relax contract:; nothing landed",
                    )

    def _conflicts(
        self, batch: Batch, order: int, originals: Mapping[int, bytes], schema: Schema, fields: Sequence[str]
    ) -> list[str]:
        body = originals[order] if order in originals else batch.bodies[order // SUB_RECORDS].as_py()
        return conflicts(fields, body, schema, self.spec.layout, self.spec.pii)

    def _split_rejects(
        self, batch: Batch, rows: pa.Table, schema: Schema, originals: dict[int, bytes]
    ) -> tuple[pa.Table, list[Reject]]:
        if rows["_pen_reject"].null_count == rows.num_rows:
            return rows, []
        bad = rows.filter(pc.is_valid(rows["_pen_reject"]))
        rejects = []
        for order, code, lost in zip(
            bad["_pen_o"].to_pylist(), bad["_pen_reject"].to_pylist(), bad["_pen_lost"].to_pylist(), strict=True
        ):
            self._refused.add(order // SUB_RECORDS)
            if code == "missing_identity" and self.spec.message:
                reason = "the message has no id"
            elif code == "missing_identity":
                reason = f"one of the identity fields is absent or null: {', '.join(self.spec.identity)}"
            else:
                reason = f"outside the contract: {', '.join(self._conflicts(batch, order, originals, schema, lost))}"
            rejects.append(self._refusal(batch, order, originals, code, reason))
        return rows.filter(pc.is_null(rows["_pen_reject"])), rejects

    def _by_message(self, batch: Batch, rows: pa.Table) -> pa.Table:
        """Identities from the messages' ids; of several records in one message each has its own. Without an id there is
        no identity."""
        orders = rows["_pen_o"].to_numpy()
        if batch.message_ids is None:
            ids = pa.nulls(len(orders), pa.string())
        else:
            ids = batch.message_ids.take(pa.array(orders // SUB_RECORDS))
        parts = orders % SUB_RECORDS
        for n, part in batch.parts.items():
            parts[orders == n * SUB_RECORDS] = part
        self._connection.register("messages", pa.table({"o": orders, "part": parts, "id": ids}))
        named = self._connection.sql(
            "select sha256(to_json(case when part = 0 then [id] else [id, part::varchar] end)::varchar) as id"
            " from messages order by o"
        ).to_arrow_table()
        self._connection.unregister("messages")
        back = np.empty(len(orders), dtype=np.int64)
        back[np.argsort(orders, kind="stable")] = np.arange(len(orders))
        rows = rows.set_column(rows.schema.get_field_index("_pen_id"), "_pen_id", named["id"].take(pa.array(back)))
        nameless = pc.and_(pc.is_null(ids), pc.is_null(rows["_pen_reject"]))
        reject = pc.if_else(nameless, pa.scalar("missing_identity"), rows["_pen_reject"])
        return rows.set_column(rows.schema.get_field_index("_pen_reject"), "_pen_reject", reject)

    def _split_conflicts(
        self, batch: Batch, rows: pa.Table, originals: dict[int, bytes]
    ) -> tuple[pa.Table, list[Reject]]:
        """One message id, two bodies: all that differ from the first are no duplicates of it."""
        if not self.spec.message or self.spec.version is not None:
            return rows, []
        asked = rows.select(["_pen_id", "_pen_content", "_pen_o"])
        self._connection.register("candidates", asked)
        found = self._connection.sql(
            "select _pen_o from candidates qualify _pen_content <> first_value(_pen_content)"
            " over (partition by _pen_id order by _pen_o)"
        ).fetchnumpy()["_pen_o"]
        self._connection.unregister("candidates")
        if not len(found):
            return rows, []
        contradicts = pa.array(np.isin(rows["_pen_o"].to_numpy(), found))
        rejects = []
        for row in asked.filter(contradicts).sort_by("_pen_o").to_pylist():
            self._refused.add(row["_pen_o"] // SUB_RECORDS)
            reject = self._refusal(batch, row["_pen_o"], originals, "identity_conflict", CONFLICT)
            rejects.append(replace(reject, claim=(row["_pen_id"].bytes, row["_pen_content"].bytes)))
        return rows.filter(pc.invert(contradicts)), rejects

    def _split_refused(
        self, batch: Batch, rows: pa.Table, refused: Refused, originals: Mapping[int, bytes]
    ) -> tuple[pa.Table, list[Reject]]:
        """What the destination refuses, by identity and record."""
        if not refused:
            return rows, []
        ids = pa.chunked_array([c.storage for c in rows["_pen_id"].chunks], pa.binary(16))
        suspects = np.flatnonzero(pc.is_in(ids, value_set=pa.array(list(refused), pa.binary(16))).to_numpy())
        stays = np.ones(rows.num_rows, dtype=bool)
        rejects = []
        for i in suspects.tolist():
            order = rows["_pen_o"][i].as_py()
            reject = self._refusal(batch, order, originals, "destination_rejected", "")
            words = refused[ids[i].as_py()].get(hashlib.sha256(reject.body).digest())
            if words is not None:
                stays[i] = False
                self._refused.add(order // SUB_RECORDS)
                rejects.append(replace(reject, reason=words))
        return rows.filter(pa.array(stays)), rejects

    def _once(self, rows: pa.Table) -> tuple[pa.Table, int]:
        """Keep one row of each identity: the first, or for merge the one of the greatest version."""
        if self.spec.content:
            self._connection.register("candidates", rows)
            kept = self._connection.sql(
                "select * from candidates qualify row_number() over"
                " (partition by _pen_id order by _pen_version desc nulls last, _pen_content desc) = 1"
            ).to_arrow_table()
            self._connection.unregister("candidates")
            return kept, rows.num_rows - kept.num_rows
        first = first_of_each(rows)
        if first is None:
            return rows, 0
        kept = rows.filter(first)
        return kept, rows.num_rows - kept.num_rows

    def _finish(self, batch: Batch, schema: Schema, rows: pa.Table) -> pa.Table:
        """The columns that land, each of its exact Arrow type, in table order."""
        columns = {c.name: cast(rows[c.name], arrow_type(c.type)) for c in schema.columns}
        columns["_pen_id"] = cast(rows["_pen_id"], pa.uuid())
        columns["_pen_origin"] = origins_of(batch, rows["_pen_o"])
        columns["_pen_rescued"] = cast(rows["_pen_rescued"], pa.json_(pa.string()))
        if self.spec.raw_json:
            columns["_pen_json"] = cast(rows["_pen_json"], pa.json_(pa.string()))
        if self.spec.content:
            columns["_pen_content"] = cast(rows["_pen_content"], pa.uuid())
        if self.spec.versioned:
            columns["_pen_version"] = cast(rows["_pen_version"], pa.string())
        return pa.table(columns)


def _lost_fields(rows: pa.Table) -> list[str]:
    if rows["_pen_lost"].null_count == rows.num_rows:
        return []
    found = pc.unique(pc.list_flatten(rows["_pen_lost"]))
    return sorted(found.to_pylist())
