"""The direct limit of each engine: the least code that lands the same rows once, with nothing kept beside them.

Usage: python -m benchmarks.limits duckdb|postgres STREAM FILE DUCKDB_FILE|POSTGRES_URL
"""

from __future__ import annotations

import sys

from benchmarks.shapes import SHAPES, Shape


def duckdb_distinct(shape: Shape, path: str, database: str) -> None:
    """``read_json`` or ``read_csv``, and ``distinct``, into a file database."""
    import duckdb

    with duckdb.connect(database) as connection:
        connection.execute("create schema raw")
        connection.execute(f"create table {shape.table} as select distinct * from {_read(shape, path)}")


def postgres_copy(shape: Shape, path: str, url: str) -> None:
    """Parsed and keyed by DuckDB, copied by ADBC into an unlogged stage, inserted where the key is new."""
    import adbc_driver_postgresql.dbapi
    import duckdb

    values = ", ".join(f"coalesce({name}::varchar, chr(30))" for name in shape.columns)
    keyed = duckdb.sql(f"select md5(concat_ws(chr(31), {values})) as content_key, * from {_read(shape, path)}")
    assert keyed is not None
    reader = keyed.to_arrow_reader(100_000)
    with adbc_driver_postgresql.dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("create schema raw")
        cursor.execute(f"create table {shape.table} (content_key uuid primary key, {shape.postgres_columns})")
        cursor.execute(f"create unlogged table raw.stage (content_key text, {shape.postgres_columns})")
        cursor.adbc_ingest("stage", reader, mode="append", db_schema_name="raw")
        named = ", ".join(shape.columns)
        cursor.execute(
            f"insert into {shape.table} select content_key::uuid, {named} from raw.stage on conflict do nothing"
        )
        cursor.execute("drop table raw.stage")
        connection.commit()


def _read(shape: Shape, path: str) -> str:
    if path.endswith(".csv"):
        return f"read_csv('{path}', header=true, columns={shape.reader_columns})"
    return f"read_json('{path}', format='newline_delimited', columns={shape.reader_columns})"


def main() -> None:
    """Load once."""
    how, stream, path, target = sys.argv[1:5]
    {"duckdb": duckdb_distinct, "postgres": postgres_copy}[how](SHAPES[stream], path, target)


if __name__ == "__main__":
    main()
