"""The direct limit of each engine: the least code that lands the same rows once, with nothing kept beside them.

Usage: python -m benchmarks.limits duckdb|postgres FILE DUCKDB_FILE|POSTGRES_URL
"""

from __future__ import annotations

import sys

_TYPES = (
    "{id: 'varchar', event_type: 'varchar', username: 'varchar', user_email: 'varchar', user_type: 'varchar', "
    "organization_name: 'varchar', plan_name: 'varchar', received_at: 'timestamp'}"
)
_COLUMNS = (
    "id text, event_type text, username text, user_email text, user_type text, organization_name text, "
    "plan_name text, received_at timestamp"
)
_NAMES = "id, event_type, username, user_email, user_type, organization_name, plan_name, received_at"


def duckdb_distinct(path: str, database: str) -> None:
    """``read_json`` and ``distinct`` into a file database."""
    import duckdb

    with duckdb.connect(database) as connection:
        connection.execute("create schema raw")
        connection.execute(
            "create table raw.user_events as select distinct * "
            f"from read_json(?, format='newline_delimited', columns={_TYPES})",
            [path],
        )


def postgres_copy(path: str, url: str) -> None:
    """Parsed and keyed by DuckDB, copied by ADBC into an unlogged stage, inserted where the key is new."""
    import adbc_driver_postgresql.dbapi
    import duckdb

    key = "md5(concat_ws(chr(31), " + ", ".join(f"coalesce({n.strip()}::varchar, chr(30))" for n in _NAMES.split(","))
    reader = duckdb.sql(
        f"select {key})) as content_key, * from read_json('{path}', format='newline_delimited', columns={_TYPES})"
    ).to_arrow_reader(100_000)
    with adbc_driver_postgresql.dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("create schema raw")
        cursor.execute(f"create table raw.user_events (content_key text primary key, {_COLUMNS})")
        cursor.execute(f"create unlogged table raw.stage (content_key text, {_COLUMNS})")
        cursor.adbc_ingest("stage", reader, mode="append", db_schema_name="raw")
        cursor.execute("insert into raw.user_events select * from raw.stage on conflict do nothing")
        cursor.execute("drop table raw.stage")
        connection.commit()


def main() -> None:
    """Load once."""
    how, path, target = sys.argv[1:4]
    {"duckdb": duckdb_distinct, "postgres": postgres_copy}[how](path, target)


if __name__ == "__main__":
    main()
