"""Roles and grants on PostgreSQL: who may do what, with personal data kept from analysts.

    <project>_loader       owns schemas penstock and raw: lands records
    <project>_transformer  reads raw, owns the models' schemas: runs dbt
    <project>_analyst      reads models, without personal columns; nothing of raw or of the quarantine

The roles cannot log in. A login gets one by ``grant sales_loader to etl`` and acts as it by
``alter role etl set role sales_loader``, so that what it makes belongs to the role.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from penstock.destinations.kinds import kind_of
from penstock.errors import UsageError
from penstock.privacy.deleting import FEEDS
from penstock.privacy.personal_columns import hidden_columns
from penstock.sql import identifier, literal

if TYPE_CHECKING:
    from penstock.ports import Destination
    from penstock.project import Project
    from penstock.transform.manifest import Relation

ROLES = ("loader", "transformer", "analyst")
_PUBLIC_LEDGER = ("loads", "streams", "columns", "runs", "schedules", "watermarks")
"""Tables of the ledger that hold nothing of any record."""


def check_roles(project: Project) -> None:
    """Whether the destination has roles.

    Raises:
        UsageError: it is not PostgreSQL.
    """
    settings = project.destination
    if not kind_of(settings).capabilities.has_roles:
        raise UsageError(
            f"{settings.type} has no roles: whoever can read the file can read all of it",
            where=f"destination {project.target}",
            fix="protect the file by the permissions of its folder, or use a PostgreSQL destination: --target NAME",
        )


def grants(project: Project, destination: Destination, relations: Sequence[Relation]) -> list[str]:
    """The statements that make the roles and give each what it needs, no more; harmless again.

    What is there already changes its owner to the role that writes it.
    """
    return list(_Grants(project, destination, relations).statements())


class _Grants:
    def __init__(self, project: Project, destination: Destination, relations: Sequence[Relation]) -> None:
        self._project = project
        self._destination = destination
        self._loader, self._transformer, self._analyst = (identifier(f"{project.name}_{r}") for r in ROLES)
        self._columns: dict[tuple[str, str], list[str]] = {}
        for schema, table, column in destination.query(
            "select n.nspname, c.relname, a.attname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
            " where c.relkind in ('r', 'v', 'm', 'p') order by 1, 2, a.attnum"
        ).rows:
            self._columns.setdefault((schema, table), []).append(column)
        self._relations = {(r.schema, r.table): r for r in relations if r.kind != "ephemeral"}
        self._schemas = sorted({s for s, _ in self._relations} - {"raw", "penstock"})

    def statements(self) -> Iterator[str]:
        """In the order in which to run them."""
        yield from self._roles()
        for schema in ("penstock", "raw"):
            yield from self._owned(schema, self._loader)
        for schema in self._schemas:
            yield f"create schema if not exists {identifier(schema)}"
            yield from self._owned(schema, self._transformer, keep_schema=schema == "public")
        if any(relation.kind == "penstock" for relation in self._relations.values()):
            yield f"create schema if not exists {FEEDS}"
            yield from self._owned(FEEDS, self._transformer)
        yield from self._transforming()
        yield from self._analysing()

    def _roles(self) -> Iterator[str]:
        for role in (self._loader, self._transformer, self._analyst):
            name = literal(role.strip('"'))
            yield (
                f"do $$ begin if not exists (select 1 from pg_roles where rolname = {name})"
                f" then create role {role} nologin; end if; end $$"
            )
        database = identifier(self._destination.query("select current_database()").rows[0][0])
        yield f"grant connect, temporary on database {database} to {self._loader}, {self._transformer}"
        yield f"grant connect on database {database} to {self._analyst}"
        yield f"grant create on database {database} to {self._loader}, {self._transformer}"

    def _owned(self, schema: str, role: str, *, keep_schema: bool = False) -> Iterator[str]:
        """What is in a schema belongs to the role, to whom it falls to change it."""
        if keep_schema:
            yield f"grant usage, create on schema {identifier(schema)} to {role}"
        else:
            yield f"alter schema {identifier(schema)} owner to {role}"
        kinds = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "S": "sequence"}
        rows = self._destination.query(
            "select c.relname, c.relkind::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'S') order by 1",
            [schema],
        ).rows
        for name, kind in rows:
            if not keep_schema or (schema, name) in self._relations:
                yield f"alter {kinds[kind]} {identifier(schema)}.{identifier(name)} owner to {role}"

    def _transforming(self) -> Iterator[str]:
        role = self._transformer
        yield f"grant usage on schema penstock, raw to {role}"
        yield f"grant select on all tables in schema raw to {role}"
        yield f"alter default privileges for role {self._loader} in schema raw grant select on tables to {role}"
        yield f"grant select on {_ledger(*_PUBLIC_LEDGER)} to {role}"
        yield f"grant insert, update on {_ledger('runs', 'watermarks')} to {role}"
        # what failed may name a person, so not for analysts
        yield f"grant select, insert, update on {_ledger('run_steps')} to {role}"
        yield f"grant delete on {_ledger('runs', 'run_steps')} to {role}"
        yield f"grant usage on sequence penstock.run_ids to {role}"

    def _analysing(self) -> Iterator[str]:
        role = self._analyst
        yield f"revoke all on all tables in schema penstock, raw from {role}"
        yield f"revoke all on schema raw from {role}"
        yield f"grant usage on schema penstock to {role}"
        yield f"grant select on {_ledger(*_PUBLIC_LEDGER)} to {role}"
        for schema in (s for s in self._schemas if self._in(s)):
            yield f"revoke all on all tables in schema {identifier(schema)} from {role}"
            yield f"grant usage on schema {identifier(schema)} to {role}"
            personal = False
            for relation in self._in(schema):
                columns = self._columns.get((schema, relation.table), [])
                hidden = hidden_columns(self._project, relation, columns or relation.columns)
                personal = personal or bool(hidden) or relation.meta.get("pii") is True
                shown = [c for c in columns if c not in hidden]
                listed = f" ({', '.join(map(identifier, shown))})" if hidden else ""
                if shown:
                    yield f"grant select{listed} on {identifier(schema)}.{identifier(relation.table)} to {role}"
            # dbt makes tables anew; where none of a schema's has personal data, new ones may be read at once
            deed, to = ("revoke", "from") if personal else ("grant", "to")
            yield (
                f"alter default privileges for role {self._transformer} in schema {identifier(schema)}"
                f" {deed} select on tables {to} {role}"
            )

    def _in(self, schema: str) -> list[Relation]:
        """The models of a schema. What failed tests stored is for who builds."""
        places = sorted(p for p in self._relations if p[0] == schema)
        return [r for r in map(self._relations.__getitem__, places) if r.kind != "test"]


def _ledger(*tables: str) -> str:
    return ", ".join(f"penstock.{t}" for t in tables)
