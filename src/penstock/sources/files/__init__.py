"""Files as a source: JSON, NDJSON, CSV and Parquet, also compressed."""
