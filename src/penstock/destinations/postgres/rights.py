"""What a user of PostgreSQL has to be allowed, and what to grant where it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.errors import LandingBlocked
from penstock.ledger import SCHEMAS
from penstock.ports import Rows
from penstock.sql import identifier

_MAY_SQL = """select current_user, current_database(), has_database_privilege(current_database(), 'create'), array(
    select nspname::text from pg_namespace
    where has_schema_privilege(oid, 'usage') and has_schema_privilege(oid, 'create')
)"""


_ROOM_SQL = """select current_user::text, to_regnamespace('raw') is not null,
    has_schema_privilege(to_regnamespace('raw')::oid, 'usage')
    and has_schema_privilege(to_regnamespace('raw')::oid, 'create')"""
_HAS_COLUMNS_SQL = "select 1 from penstock.columns limit 1"


def lacks_raw(query: Callable[[str], Rows]) -> bool:
    """Whether schema raw is to be made beside a whole ledger. One that the ledger has tables in is not: an empty one
    would be in the way of putting it back."""
    return "raw" in missing_schemas(query) and not query(_HAS_COLUMNS_SQL).rows


def missing_schemas(query: Callable[[str], Rows]) -> list[str]:
    """The schemas of Penstock's own that nobody has made yet."""
    there = {name for (name,) in query("select nspname from pg_namespace").rows}
    return [schema for schema in SCHEMAS if schema not in there]


def check_room(ask: Callable[..., list[tuple[Any, ...]]], *, shown: str) -> None:
    """Whether the user can make a stream's first table, before anything is taken for it. ``ask`` runs a statement.

    Raises:
        LandingBlocked: there is no schema raw, or nothing can be made in it.
    """
    ((user, there, may),) = ask(_ROOM_SQL)
    if not there:
        raise LandingBlocked(
            "there is no schema raw, where the stream's table has to be made",
            where=shown,
            fix=f"as an administrator: create schema raw authorization {identifier(user)}",
        )
    if not may:
        raise LandingBlocked(
            f"user {user} may not create tables in schema raw",
            where=shown,
            fix=f"as its owner: grant usage, create on schema raw to {identifier(user)}",
        )


def check_rights(query: Callable[[str], Rows], *, shown: str) -> None:
    """Whether the user may make what landing needs: schemas, and tables in them.

    Raises:
        LandingBlocked: it may not; names what to grant.
    """
    # in this order: another process may make them meanwhile
    missing = missing_schemas(query)
    (user, database, creates, open_), *_ = query(_MAY_SQL).rows
    if missing and not creates:
        makes = "; ".join(f"create schema {s} authorization {identifier(user)}" for s in missing)
        raise LandingBlocked(
            f"user {user} may not create schemas, and there is no schema {' or '.join(missing)}",
            where=shown,
            fix=f"as an administrator: grant create on database {identifier(database)} to {identifier(user)}, which"
            f" models need for their schemas too; or: {makes}",
        )
    closed = [s for s in SCHEMAS if s not in missing and s not in open_]
    if closed:
        raise LandingBlocked(
            f"user {user} may not use schema {' and '.join(closed)}, or not create tables there",
            where=shown,
            fix=f"as its owner: grant usage, create on schema {', '.join(closed)} to {identifier(user)}",
        )
