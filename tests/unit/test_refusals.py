"""Whatever a warehouse's driver raises has a reaction: about rows, blocked until somebody mends something, or away."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import psycopg
import pyarrow as pa
import pytest
from psycopg import errors as of_postgres

from penstock.destinations.duckdb import driver_errors as duckdb_errors
from penstock.destinations.postgres import driver_errors as postgres_errors
from penstock.errors import DestinationError, LandingBlocked, RejectedRows

STATES = {
    state: error
    for error in vars(of_postgres).values()
    if isinstance(error, type) and issubclass(error, psycopg.Error) and (state := error.sqlstate)
}
AWAY = ("08", "25", "40", "53", "55", "57", "58", "F0", "HV", "XX")
"""SQLSTATE classes that pass by themselves, or with what was done to the server."""


def kinds(error: type[duckdb.Error]) -> Iterator[type[duckdb.Error]]:
    """DuckDB's errors."""
    yield error
    for kind in error.__subclasses__():
        yield from kinds(kind)


@pytest.mark.parametrize("kind", sorted(set(kinds(duckdb.Error)), key=str), ids=lambda k: k.__name__)
def test_every_error_of_duckdb(kind: type[duckdb.Error]) -> None:
    """Only while rows are written is one about rows; a database that is invalidated is away, whatever says so."""
    for rows in (False, True):
        refusal = duckdb_errors.refusal(kind("it says"), "w.duckdb", rows=rows)
        assert refusal.where == "w.duckdb"
        assert not isinstance(refusal, RejectedRows) or rows
        broken = duckdb_errors.refusal(kind("database has been invalidated because of …"), "w.duckdb", rows=False)
        assert type(broken) is DestinationError and broken.fix
    full = duckdb_errors.refusal(kind("Could not write file: No space left on device"), "w.duckdb", rows=False)
    assert "make room" in full.fix


@pytest.mark.parametrize("state", sorted(STATES))
def test_every_error_of_postgresql(state: str) -> None:
    """An error that names no row and nothing that was changed is away: the connection, the server, its disk, a lock."""
    error = STATES[state]("it says")
    for rows in (False, True):
        refusal = postgres_errors.refusal(error, "host=h", rows=rows)
        assert refusal is not None and refusal.where == "host=h"
        assert not isinstance(refusal, RejectedRows) or rows
        if state[:2] in AWAY:
            assert type(refusal) is DestinationError
        if isinstance(refusal, LandingBlocked):
            assert state[:2] not in AWAY and refusal.fix


def test_what_is_no_error_of_the_driver_is_left_alone() -> None:
    """A fault of ours is none of the warehouse; what a lost connection makes of an answer is."""
    assert postgres_errors.refusal(ValueError("ours"), "h", rows=True) is None
    for error in (pa.ArrowInvalid("cut"), ConnectionResetError("reset")):
        assert type(postgres_errors.refusal(error, "h", rows=True)) is DestinationError
