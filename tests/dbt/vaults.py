"""A vault over hand-made raw tables: what is landed, and what an independent reading of the same records expects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.dbt.warehouse import Warehouse

COLUMNS: dict[str, dict[str, str]] = {
    "customers": {
        "customer_id": "text",
        "name": "text",
        "city": "text",
        "credit": "double precision",
        "version": "integer",
        "gone": "boolean",
        "updated_at": "timestamp",
    },
    "rentals": {
        "renter": "text",
        "country": "text",
        "plate": "text",
        "since": "timestamp",
        "until": "timestamp",
        "returned": "boolean",
        "said_at": "timestamp",
    },
}
TABLES = (
    "hub_customer",
    "hub_car",
    "link_rental",
    "sat_customer",
    "sat_customer_city",
    "eff_rental",
    "eff_rental_term",
    "customer_versions",
    "customer_city_versions",
    "rental_periods",
    "rental_terms",
    "pit_customer",
)
ARRIVAL = {"load_date", "record_source", "_pen_load"}
"""What the order of arrival may decide."""

Record = dict[str, Any]


def prepare(warehouse: Warehouse) -> None:
    """Empty raw tables, and no instants to look at."""
    warehouse.reset()
    for stream, columns in COLUMNS.items():
        listed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        warehouse.execute(
            f"create table raw.{stream} ({listed}, _pen_load bigint, _pen_loaded_at timestamp with time zone)"
        )
    warehouse.execute("create table raw.snapshots (snapshot_at timestamp)")


def land(warehouse: Warehouse, stream: str, records: Sequence[Record], seq: int, load_id: int | None = None) -> None:
    """One load of a stream: the rows and the ledger's entry, in one transaction."""
    columns = list(COLUMNS[stream])
    load = 1000 + seq if load_id is None else load_id
    mark = "?" if warehouse.engine == "duckdb" else "%s"
    at = f"2025-01-01 00:00:{seq % 60:02}+00"
    with warehouse.connected() as connection:
        cursor = connection.cursor()
        cursor.execute("begin")
        if records:
            cursor.executemany(
                f"insert into raw.{stream} values ({', '.join([mark] * len(columns))}, {load}, '{at}')",
                [[record.get(name) for name in columns] for record in records],
            )
        cursor.execute(
            "insert into penstock.loads (load_id, seq, stream, read, landed)"
            f" values ({load}, {seq}, '{stream}', {len(records)}, {len(records)})"
        )
        cursor.execute("commit")


def content(warehouse: Warehouse, tables: Iterable[str] = TABLES, but: Iterable[str] = ARRIVAL) -> dict[str, Any]:
    """Every row of every table, but for what the order of arrival may decide."""
    found = {}
    with warehouse.connected() as connection:
        for table in tables:
            cursor = connection.cursor()
            cursor.execute(f"select * from vault.{table}")
            names = [column[0] for column in cursor.description]
            kept = [place for place, name in enumerate(names) if name not in set(but)]
            rows = [tuple(str(row[place]) for place in kept) for row in cursor.fetchall()]
            found[table] = ([names[place] for place in kept], sorted(rows))
    return found
