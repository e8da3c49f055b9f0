"""dlt's rest_api source loads pages of records into DuckDB, without telling doubles apart.

Usage: dlt_rest.py URL DUCKDB_FILE PIPELINES_DIRECTORY WORKERS; prints the seconds of the pipeline's run.
"""

import os
import sys
import time

SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "100000",
    "EXTRACT__DATA_WRITER__FILE_MAX_ITEMS": "100000",
    "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "200000",
    "NORMALIZE__WORKERS": str(os.cpu_count() or 2),
}


def main() -> None:
    """Load once."""
    url, path, folder, workers = sys.argv[1:5]
    os.environ |= SETTINGS | {"EXTRACT__WORKERS": workers}
    import dlt
    from dlt.sources.rest_api import rest_api_source

    source = rest_api_source(
        {
            "client": {"base_url": url},
            "resources": [
                {
                    "name": "records",
                    "parallelized": True,
                    "endpoint": {
                        "path": "records",
                        "data_selector": "data",
                        "paginator": {"type": "page_number", "base_page": 1, "total_path": None},
                    },
                }
            ],
        }
    )
    pipeline = dlt.pipeline(
        "bench", destination=dlt.destinations.duckdb(path), dataset_name="raw", pipelines_dir=folder
    )
    started = time.perf_counter()
    info = pipeline.run(source, loader_file_format=os.environ.get("BENCH_FORMAT", "parquet"))
    info.raise_on_failed_jobs()
    print(time.perf_counter() - started)


main()
