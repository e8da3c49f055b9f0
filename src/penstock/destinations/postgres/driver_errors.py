"""What the errors of PostgreSQL's drivers ask for."""

from __future__ import annotations

import re

import psycopg
import pyarrow as pa
from adbc_driver_manager import Error as AdbcError

from penstock.destinations.refusals import Reaction, refused
from penstock.engine_errors import error_text
from penstock.errors import DestinationError

_OF_ROWS = ("22", "23", "44", "54", "P0")
"""SQLSTATE classes that blame the rows: data exception, constraint, check option, program limit, trigger."""
_LASTING = ("0A", "3D", "3F", "42")
"""Those that stay until somebody mends something: no such feature, database, schema; a name, a type or a right that is
missing."""
_FIXES = {
    "42501": "have the owner grant the right, or make the user its owner again",
    "42703": "put the column back, as it was",
    "42P01": "put the table back, as it was",
    "3F000": "put the schema back, as it was",
    "25006": "make it writable again: it is read-only, or a standby",
    "53100": "make room on the server's disk",
    "53300": "raise max_connections, or close other connections",
}


def refusal(error: Exception, where: str, *, rows: bool, prefix: str = "") -> DestinationError | None:
    """The error of ours for one of a driver's, None for any other; with ``rows`` it may be about the rows that were to
    be written."""
    if not isinstance(error, AdbcError | psycopg.Error | pa.ArrowException | OSError):
        return None
    if "cannot insert multiple commands" in str(error):
        return DestinationError("several statements, where exactly one may be asked", where=where, fix="ask one")
    state = getattr(error, "sqlstate", "") or ""
    fix = _FIXES.get(state, "put back what it names, as it was" if state[:2] in _LASTING else "")
    return refused(_reaction(state, rows=rows), f"{prefix}{first_line(error)}", where=where, fix=fix)


def query_refusal(error: psycopg.Error, where: str) -> DestinationError:
    """The error of ours for a statement that somebody asks: what a name in it should be, they know themselves."""
    state = error.sqlstate or ""
    fix = _FIXES[state] if state == "42501" else ""
    return refused(_reaction(state, rows=False), first_line(error), where=where, fix=fix)


def first_line(error: BaseException) -> str:
    """What the server said, without the driver's words around it."""
    text = error_text(error)
    match = re.search(r"(?:ERROR|FATAL):\s*(.*)", text)
    return (match[1] if match else text.strip().split("\n")[0]).strip()


def _reaction(state: str, *, rows: bool) -> Reaction:
    if rows and state[:2] in _OF_ROWS:
        return "rows"
    return "blocked" if state[:2] in _LASTING else "away"
