"""The warehouse as a database of Metabase's, and dbt's descriptions of its tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from penstock.bi.catalog import Described, Place
from penstock.bi.metabase.changes import Synced
from penstock.bi.metabase.metabase_api import Client
from penstock.errors import DestinationError, MetabaseError, UsageError
from penstock.sql import literal, statement

if TYPE_CHECKING:
    from penstock.project import Project
    from penstock.report.asking import Query

Tables = Mapping[Place, Mapping[str, Any]]
_COMPARED = ("host", "port", "dbname", "user", "schema-filters-patterns")
"""Details that have to be there; of others Metabase may leave out what is its default."""
_KEPT_FROM_VIEW = ("sensitive", "retired")


def visible_columns(query: Query, user: str, schemas: Sequence[str]) -> dict[Place, frozenset[str]]:
    """The columns that a user of the warehouse may read, by table.

    Raises:
        UsageError: there is no such user.
    """
    if not schemas:
        return {}
    known = query(f"select count(*) from pg_roles where rolname = {literal(user)}").rows[0][0]
    if not known:
        raise UsageError(
            f"the warehouse has no user {user!r} for Metabase to read as",
            where="METABASE_WAREHOUSE_USER",
            fix="make it: create role … login; and grant it the role of analysts: penstock grants",
        )
    sql = statement(
        "penstock.bi.metabase",
        "visible_columns.sql",
        user=literal(user),
        schemas=", ".join(map(literal, schemas)),
    )
    visible: dict[Place, set[str]] = {}
    for schema, table, column in query(sql).rows:
        visible.setdefault((schema, table), set()).add(column)
    return {place: frozenset(columns) for place, columns in visible.items()}


def sync_database(
    client: Client, name: str, details: Mapping[str, Any], schemas: Sequence[str], synced: Synced
) -> tuple[int | None, bool]:
    """Have the warehouse be there, under the project's name, with the models' schemas only; its id, and whether it is
    new. Without ``apply`` there is no id of what is not there yet.

    Raises:
        UsageError: Metabase cannot connect to it, or a database of that name is something else.
    """
    wanted = {
        **details,
        "schema-filters-type": "inclusion" if schemas else "all",
        **({"schema-filters-patterns": ",".join(schemas)} if schemas else {}),
    }
    databases = [] if client.fresh else client.get("database")
    listed = databases["data"] if isinstance(databases, dict) else databases
    there = next((d for d in listed if d["name"] == name), None)
    if there is None:
        body = {"name": name, "engine": "postgres", "details": wanted, "is_full_sync": True, "is_on_demand": False}
        made = _connected(lambda: client.post("database", body), details)
        synced.add("database", name, "created", _place(details))
        return made.get("id"), True
    if there.get("engine") != "postgres":
        raise UsageError(
            f"Metabase has a database {name!r} already, of {there.get('engine')}",
            where=f"database {there['id']}",
            fix="rename it in Metabase: Admin settings, Databases",
        )
    current = client.get(f"database/{there['id']}").get("details") or {}
    compared = {k: v for k, v in wanted.items() if (k in current or k in _COMPARED) and k != "password"}
    different = sorted(k for k, v in compared.items() if current.get(k) != v)
    if not different and _healthy(client, there["id"]):
        synced.add("database", name, "unchanged", _place(details))
        return there["id"], False
    _connected(lambda: client.put(f"database/{there['id']}", {"details": wanted}), details)
    synced.add("database", name, "updated", ", ".join(different) or "password")
    return there["id"], False


def await_tables(
    client: Client,
    database: int,
    visible: Mapping[Place, frozenset[str]],
    *,
    new: bool,
    wait_seconds: float,
    say: Callable[[str], None],
) -> Tables:
    """Metabase's tables, once it has seen what its user may see; it is told to look when something is missing.

    Raises:
        MetabaseError: it has not seen all of it in time.
    """
    until = time.monotonic() + wait_seconds
    requested = False
    pause = 0.1
    while True:
        metadata = client.get(f"database/{database}/metadata", {"include_hidden": "true", "remove_inactive": "true"})
        tables = {(t.get("schema") or "", t["name"]): t for t in metadata["tables"]}
        missing = sorted(p for p, columns in visible.items() if not columns <= set(_fields(tables.get(p, {}))))
        if not missing or not client.apply:
            return tables
        if not requested and (not new or metadata.get("initial_sync_status") in ("complete", "aborted")):
            client.post(f"database/{database}/sync_schema", {})
            requested = True
            say("Metabase looks for new tables and columns")
        if time.monotonic() >= until:
            names = ", ".join(".".join(p) for p in missing[:5])
            raise MetabaseError(
                f"Metabase has not seen {names}{' and more' if len(missing) > 5 else ''} within {wait_seconds:g} s",
                where=f"database {database}",
                fix="run it again, or wait longer: --wait SECONDS; what hinders it is under Admin settings,"
                " Troubleshooting, Logs",
            )
        time.sleep(pause)
        pause = min(2.0, pause * 1.5)


def sync_descriptions(
    client: Client, project: Project, described: Mapping[Place, Described], tables: Tables, synced: Synced
) -> None:
    """dbt's descriptions, foreign keys, and personal columns kept from view. Where dbt says nothing, nothing is
    changed."""
    for place, table in sorted(tables.items()):
        if place not in described:
            continue
        about = described[place]
        fields = _fields(table)
        personal = about.personal(project, fields)
        done = {"description": 0, "foreign key": 0, "personal column": 0}
        if about.description and table.get("description") != about.description:
            client.put(f"table/{table['id']}", {"description": about.description})
            done["description"] += 1
        for column, field in fields.items():
            body: dict[str, Any] = {}
            text = about.columns.get(column.lower(), "")
            if text and field.get("description") != text:
                body["description"] = text
                done["description"] += 1
            target = _target(about, column, tables)
            if target is not None and field.get("semantic_type") != "type/PK":
                key = {"semantic_type": "type/FK", "fk_target_field_id": target}
                if any(field.get(k) != v for k, v in key.items()):
                    body |= key
                    done["foreign key"] += 1
            if column in personal and field.get("visibility_type") not in _KEPT_FROM_VIEW:
                body["visibility_type"] = "sensitive"
                done["personal column"] += 1
            if body:
                client.put(f"field/{field['id']}", body)
        note = ", ".join(f"{n} {what}{'' if n == 1 else 's'}" for what, n in done.items() if n)
        synced.add("table", ".".join(place), "updated" if note else "unchanged", note)


def _target(about: Described, column: str, tables: Tables) -> int | None:
    reference = about.references.get(column.lower())
    fields = {} if reference is None else _fields(tables.get(reference.place, {}))
    return next((f["id"] for name, f in fields.items() if reference and name.lower() == reference.column), None)


def _fields(table: Mapping[str, Any]) -> dict[str, Any]:
    """Column → field; what Metabase unfolds of JSON is no column."""
    return {f["name"]: f for f in table.get("fields", ()) if not f.get("nfc_path") and not f.get("parent_id")}


def _healthy(client: Client, database: int) -> bool:
    """Whether it connects with the password that it has, which cannot be read; so a new one is noticed."""
    try:
        health = client.get(f"database/{database}/healthcheck")
    except MetabaseError as e:
        if e.status != 404:
            raise
        return True  # before 0.52 it cannot be asked
    return bool(health.get("status") != "error")


def _connected(write: Callable[[], Any], details: Mapping[str, Any]) -> Any:
    try:
        return write()
    except MetabaseError as e:
        if e.status not in (400, 422):
            raise
        raise DestinationError(
            f"Metabase cannot connect to the warehouse as {details['user']}: {e.what}",
            where=_place(details),
            fix="say how Metabase reaches it, which may be otherwise than Penstock does: METABASE_WAREHOUSE_HOST (in"
            " the compose file it is postgres), _PORT, _USER, _PASSWORD",
        ) from None


def _place(details: Mapping[str, Any]) -> str:
    return f"{details['host']}:{details['port']}/{details['dbname']}"
