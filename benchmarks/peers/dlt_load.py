"""dlt loads user events, deduplicated by the content of the record.

Usage: dlt_load.py FILE DUCKDB_FILE|POSTGRES_URL PIPELINES_DIRECTORY

Tuned as dlt's guide to performance says: whole pages, large buffers, files cut so that each worker has some,
as many workers as there are cores, one kind of load file a destination takes in bulk.
"""

import os
import sys
from collections.abc import Iterator
from typing import Any

CORES = str(os.cpu_count() or 2)
SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "100000",
    "EXTRACT__DATA_WRITER__FILE_MAX_ITEMS": "100000",
    "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "200000",
    "EXTRACT__WORKERS": CORES,
    "NORMALIZE__WORKERS": CORES,
    "LOAD__WORKERS": CORES,
}
COLUMNS = (
    "id",
    "event_type",
    "username",
    "user_email",
    "user_type",
    "organization_name",
    "plan_name",
    "received_at",
)


def main() -> None:
    """Load once."""
    os.environ |= SETTINGS
    import dlt

    path, address, folder = sys.argv[1:4]
    postgres = address.startswith("postgresql")
    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.postgres(address) if postgres else dlt.destinations.duckdb(address),
        dataset_name="raw",
        pipelines_dir=folder,
    )
    resource = dlt.resource(arrow_pages(path), name="user_events")
    resource.apply_hints(
        primary_key="content_key",
        write_disposition={"disposition": "merge", "strategy": os.environ.get("BENCH_STRATEGY", "delete-insert")},
        columns={"received_at": {"data_type": "timestamp", "timezone": False}},
    )
    info = pipeline.run(resource, loader_file_format=os.environ.get("BENCH_FORMAT", "parquet"))
    info.raise_on_failed_jobs()


def arrow_pages(path: str) -> Iterator[Any]:
    """Arrow tables, read by pyarrow and keyed by DuckDB, so that no record becomes a Python object."""
    import duckdb
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.json

    fields = [(name, pa.timestamp("us") if name == "received_at" else pa.string()) for name in COLUMNS]
    if path.endswith(".csv"):
        conversion = pyarrow.csv.ConvertOptions(column_types=dict(fields))
        table = pyarrow.csv.read_csv(path, convert_options=conversion)
    else:
        options = pyarrow.json.ParseOptions(explicit_schema=pa.schema(fields))
        table = pyarrow.json.read_json(path, parse_options=options)
    connection = duckdb.connect()
    key = "md5(concat_ws(chr(31), " + ", ".join(f"coalesce({name}::varchar, chr(30))" for name in COLUMNS) + "))"
    for start in range(0, table.num_rows, 200_000):
        page = table.slice(start, 200_000)
        connection.register("page", page)
        yield connection.sql(f"select {key} as content_key, * from page").to_arrow_table()


if __name__ == "__main__":
    main()
