"""Rows that may take the place of others of their identity: ``merge`` and ``replace``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from penstock.destinations.dispositions import wins_sql
from penstock.shape.exact import member_sql
from penstock.shape.version_keys import kept_version, key_sql
from penstock.sql import identifier

if TYPE_CHECKING:
    from penstock.destinations.spark.lookup import FilesOfTable
    from penstock.ports import Target
    from penstock.schema import Schema


class Replacing:
    """The rows of one landing that win, and the rows of the table that they win over.

    What is known of an identity, of rows that the files hold and of those of this landing, is in a DuckDB in memory,
    where the same SQL says which row wins as in every other engine.
    """

    def __init__(self, target: Target, files: FilesOfTable | None, load_id: int) -> None:
        self._target = target
        self._files = files
        self._load_id = load_id
        self._connection = duckdb.connect(config={"threads": 1})
        self._columns = ["_pen_id", "_pen_content", *(["_pen_version"] if target.spec.versioned else [])]
        self._refreshing = False
        self._connection.execute(
            "set timezone = 'UTC';"
            " create table there (_pen_id varchar, _pen_content varchar, _pen_version varchar, _pen_load bigint,"
            " path varchar);"
            " create table asked (_pen_id varchar); create table refreshed (_pen_id varchar);"
            " create table gone (_pen_id varchar, path varchar)"
        )
        self._staged = False

    def insert(self, rows: pa.Table) -> int:
        """Take the rows that are new or win; how many."""
        run = self._connection.execute
        self._connection.register("n", rows)
        try:
            self._ask(rows)
            if self._target.spec.disposition == "replace":
                self._refreshing = True
                run("insert into refreshed select _pen_id from n")
            wins = wins_sql(self._target, new="n", old="t", load_id=self._load_id)
            run(
                f"create or replace temp table settled as select n._pen_id, t.path, coalesce({wins}, false) as wins"
                " from n join there t using (_pen_id)"
            )
            run("insert into gone select _pen_id, path from settled where wins and path is not null")
            run("delete from there where _pen_id in (select _pen_id from settled where wins)")
            self._stage(rows)
            landing = "from n where _pen_id not in (select _pen_id from settled where not wins)"
            version = "_pen_version" if self._target.spec.versioned else "null"
            run(f"insert into there select _pen_id, _pen_content, {version}, {self._load_id}, null {landing}")
            ((landed,),) = run(f"insert into staged by name select * {landing}").fetchall()
            return int(landed)
        finally:
            self._connection.unregister("n")

    def delete_unrefreshed(self, *, empty: bool) -> int:
        """Have the rows go that no insert named; how many."""
        if self._files is None or not (self._refreshing or empty):
            return 0
        deleted = 0
        for task, ids in self._files.all(["_pen_id"]):
            self._connection.register("ids", ids)
            ((count,),) = self._connection.execute(
                "insert into gone select _pen_id, $1 from ids where _pen_id not in (from refreshed)",
                [task.file.file_path],
            ).fetchall()
            self._connection.unregister("ids")
            deleted += int(count)
        return deleted

    def gone(self) -> dict[str, pa.Array]:
        """File → the identities whose rows go."""
        rows = self._connection.execute("select path, list(_pen_id) from gone group by path").fetchall()
        return {path: pa.array(ids, pa.string()) for path, ids in rows}

    def taken(self) -> pa.Table | None:
        """The rows that landed; None when there are none."""
        if not self._staged:
            return None
        rows: pa.Table = self._connection.sql("from staged").to_arrow_table()
        return rows if rows.num_rows else None

    def close(self) -> None:
        """Let go of the memory."""
        self._connection.close()

    def _ask(self, rows: pa.Table) -> None:
        """Have in mind what the files hold of the identities in hand, each of which is asked for once."""
        if self._files is None:
            return
        run = self._connection.execute
        unasked: pa.Table = self._connection.sql(
            "select _pen_id from n where _pen_id not in (from asked)"
        ).to_arrow_table()
        if not unasked.num_rows:
            return
        asked = rows.filter(pc.is_in(rows.column("_pen_id"), value_set=unasked.column("_pen_id")))
        for task, entries in self._files.entries(asked, [*self._columns, "_pen_load"]):
            self._connection.register("entries", entries)
            run("insert into there by name select *, $1 as path from entries", [task.file.file_path])
            self._connection.unregister("entries")
        self._connection.register("asked_now", unasked)
        run("insert into asked from asked_now")
        self._connection.unregister("asked_now")

    def _stage(self, rows: pa.Table) -> None:
        """Have room for all columns of the rows, and none of an identity that is landed anew."""
        run = self._connection.execute
        if not self._staged:
            run("create table staged as select * from n limit 0")
            self._staged = True
            return
        have = {name for name, *_ in run("select * from staged limit 0").description}
        types = dict(zip(rows.column_names, run("select * from n limit 0").description, strict=True))
        for name, (_, type_, *_) in types.items():
            if name not in have:
                run(f"alter table staged add column {identifier(name)} {type_}")
        run("delete from staged where _pen_id in (select _pen_id from settled where wins)")


def with_keys(rows: pa.Table, schema: Schema, field: str) -> pa.Table:
    """Rows with the keys of their versions, in ``field``, as :mod:`penstock.destinations.versions` has them."""
    text = kept_version(schema, field, rescued=member_sql("_pen_rescued", field), json="json_extract_string({}, '$')")
    columns = ", ".join(identifier(name) for name in rows.column_names if name != "_pen_version")
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.register("rows_in_hand", rows)
        keyed = connection.sql(f"select {columns}, {key_sql(text)} as _pen_version from rows_in_hand")
        return keyed.to_arrow_table()
