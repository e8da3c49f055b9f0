"""The kinds of record that are loaded, declared once for Penstock and for the engines' own readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_POSTGRES = {"double": "double precision", "json": "text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One kind of record: its stream, its columns with their types as ``penstock.yml`` names them, and its time."""

    stream: str
    columns: Mapping[str, str]
    event_time: str

    @property
    def table(self) -> str:
        """Where it lands."""
        return f"raw.{self.stream}"

    @property
    def reader_columns(self) -> str:
        """As ``columns`` of DuckDB's readers."""
        return "{" + ", ".join(f"{name}: '{kind}'" for name, kind in self.columns.items()) + "}"

    @property
    def postgres_columns(self) -> str:
        """As a list of columns in PostgreSQL."""
        return ", ".join(f"{name} {_POSTGRES.get(kind, kind)}" for name, kind in self.columns.items())

    def settings(self, source: str) -> str:
        """As a stream of ``penstock.yml``."""
        lines = [
            f"  {self.stream}:",
            f"    from: {source}",
            f"    event_time: {self.event_time}",
            "    identity: content",
            "    columns:",
            *(f"      {name}: {kind}" for name, kind in self.columns.items()),
        ]
        return "\n".join(lines) + "\n"


USER_EVENTS = Shape(
    stream="user_events",
    columns={
        "id": "text",
        "event_type": "text",
        "username": "text",
        "user_email": "text",
        "user_type": "text",
        "organization_name": "text",
        "plan_name": "text",
        "received_at": "timestamp",
    },
    event_time="received_at",
)

ORDERS = Shape(
    stream="orders",
    columns={
        "order_id": "text",
        "number": "bigint",
        "placed_at": "timestamp",
        "changed_at": "timestamp",
        "status": "text",
        "channel": "text",
        "currency": "text",
        "total": "double",
        "discount": "double",
        "paid": "boolean",
        "gift": "boolean",
        "note": "text",
        "customer": "json",
        "shipping": "json",
        "items": "json",
        "labels": "json",
    },
    event_time="placed_at",
)
"""Sixteen fields: text, whole and decimal numbers, truth values, nulls, objects in objects, and lists."""

SHAPES = {shape.stream: shape for shape in (USER_EVENTS, ORDERS)}
