"""DuckDB: the embedded warehouse, one file."""
