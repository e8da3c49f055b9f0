"""dlt in a running process: takes {"path": FILE} a line, loads the file's records, answers {"seconds": S}.

Usage: dlt_batches.py DUCKDB_FILE|POSTGRES_URL PIPELINES_DIRECTORY
"""

import json
import os
import sys
import time
from typing import Any

from dlt_load import SETTINGS


def main() -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    os.environ |= SETTINGS | {"EXTRACT__WORKERS": "1", "NORMALIZE__WORKERS": "1"}
    import dlt
    from dlt_load import arrow_pages

    address, folder = sys.argv[1:3]
    postgres = address.startswith("postgresql")
    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.postgres(address) if postgres else dlt.destinations.duckdb(address),
        dataset_name="raw",
        pipelines_dir=folder,
    )
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        started = time.perf_counter()
        resource = dlt.resource(
            arrow_pages(request["path"]),
            name="user_events",
            primary_key="content_key",
            write_disposition={"disposition": "merge", "strategy": "delete-insert"},
        )
        pipeline.run(resource, loader_file_format="parquet").raise_on_failed_jobs()
        answers.write(json.dumps({"seconds": time.perf_counter() - started}) + "\n")


if __name__ == "__main__":
    main()
