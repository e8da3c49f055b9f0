"""A vault over hand-made raw tables: what is landed, and what an independent reading of the same records expects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
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
    at = f"2025-01-01 00:00:{seq % 60:02}+00"
    with warehouse.connected() as connection:
        cursor = connection.cursor()
        cursor.execute("begin")
        if records:
            rows = [[*(record.get(name) for name in columns), load, at] for record in records]
            warehouse.insert(cursor, f"raw.{stream}", rows)
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


# -- the same, in Python

UNKNOWN, REQUIRED = "0" * 32, "f" * 32


def digest(line: str) -> str:
    """The first 128 bits of the SHA-256 of a line."""
    return hashlib.sha256(line.encode()).hexdigest()[:32]


def key(*parts: str | None, missing: str = UNKNOWN) -> str:
    """The hash key of a business key, as the documentation words it."""
    if all(part is None for part in parts):
        return missing
    return digest(",".join(["v1", *("" if part is None else quoted(part) for part in parts)]))


def quoted(text: str) -> str:
    """A value of a line of CSV."""
    return '"' + text.replace('"', '""') + '"'


def diff(**state: Any) -> str:
    """The hash diff of a state."""
    known = sorted((name, value) for name, value in state.items() if value is not None)
    return digest("v1" + "".join(f",{quoted(name)}={quoted(text(value))}" for name, value in known))


def text(value: Any) -> str:
    """The one text of a value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        plain = format(Decimal(value if abs(value) >= 2**53 else repr(value)), "f")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    if isinstance(value, datetime):
        whole, _, part = value.isoformat().partition(".")
        return f"{whole}.{part}".rstrip("0").rstrip(".") if part else whole
    return str(value)


def customer_versions(records: Iterable[Record]) -> set[tuple[Any, ...]]:
    """``(key, name, city, credit, from, to)``: of an instant the last state, of equal neighbours the first."""
    lives: dict[str, dict[datetime, list[Record]]] = {}
    for record in records:
        if record["customer_id"] is not None and record["updated_at"] is not None:
            lives.setdefault(record["customer_id"], {}).setdefault(record["updated_at"], []).append(record)
    found = set()
    for customer, instants in lives.items():
        changes: list[tuple[datetime, tuple[Any, ...] | None]] = []
        for at in sorted(instants):
            last = max(instants[at], key=rank)
            state = None if last["gone"] else (last["name"], last["city"], last["credit"])
            if (changes[-1][1] if changes else None) != state:
                changes.append((at, state))
        ends = [at for at, _ in changes[1:]] + [None]
        found |= {(key(customer), *state, at, to) for (at, state), to in zip(changes, ends, strict=False) if state}
    return found


def rank(record: Record) -> tuple[Any, ...]:
    """What decides between records of one instant."""
    state = diff(name=record["name"], city=record["city"], credit=record["credit"], _pen_deleted=bool(record["gone"]))
    version = record["version"]
    return (version is not None, version or 0, bool(record["gone"]), state)


def relation(record: Record) -> tuple[str, str]:
    """``(link key, car key)`` of a rental."""
    plate = record["plate"]
    plate = None if plate is None else plate.strip(" \t\r\n").upper() or None
    return key(record["renter"], record["country"], plate), key(record["country"], plate)


def rental_periods(records: Iterable[Record]) -> set[tuple[Any, ...]]:
    """``(link, car, from, to)``: a car has one renter at a time, until the next or the return."""
    cars: dict[str, dict[datetime, list[tuple[bool, str]]]] = {}
    for record in records:
        link, car = relation(record)
        if record["since"] is not None and link != UNKNOWN:
            cars.setdefault(car, {}).setdefault(record["since"], []).append((bool(record["returned"]), link))
    found = set()
    for car, instants in cars.items():
        changes: list[tuple[datetime, str | None]] = []
        for at in sorted(instants):
            returned, link = max(instants[at])
            holder = None if returned else link
            if (changes[-1][1] if changes else None) != holder:
                changes.append((at, holder))
        ends = [at for at, _ in changes[1:]] + [None]
        found |= {(holder, car, at, to) for (at, holder), to in zip(changes, ends, strict=False) if holder}
    return found
