"""Iceberg tables, landed into by PyIceberg without Java, with the ledger in PostgreSQL."""
