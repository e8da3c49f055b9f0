"""The first words that the prompt knows: of statements, and its own."""

from __future__ import annotations

SQL_WORDS = [
    "select",
    "with",
    "from",
    "insert",
    "update",
    "delete",
    "merge",
    "create",
    "drop",
    "alter",
    "truncate",
    "show",
    "describe",
    "explain",
    "values",
    "table",
    "copy",
    "set",
    "reset",
    "begin",
    "commit",
    "rollback",
    "vacuum",
    "analyze",
    "pragma",
    "attach",
    "detach",
    "summarize",
    "call",
    "grant",
    "revoke",
    "pivot",
    "unpivot",
    "install",
    "load",
    "use",
    "checkpoint",
]
"""How statements begin, in DuckDB and PostgreSQL."""

OWN_WORDS = ("help", "quit", "exit")
