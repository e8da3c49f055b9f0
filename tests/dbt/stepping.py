"""A warehouse whose models take the steps that their materialization keeps, without dbt: hundreds of change sets in the
time that dbt takes for ten.

Each table is compared with what the model's own SQL gives over the tables that it reads. When all are the same, all are
what a full refresh would make.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tests.dbt.steps import Unsound, perform
from tests.dbt.warehouse import BuiltTable, Warehouse
from tests.support.change_sets import Change

_SYSTEM = ("penstock", "penstock_changes", "raw")


class Stopped(Exception):
    """A step was killed before its commit."""


class Stepping:
    """The models of a warehouse, built once over nothing; every story begins there."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        warehouse.reset()
        warehouse.dbt("run")
        self._models = warehouse.tables()
        compiled = warehouse.compiled([model.name for model in self._models])
        self._sql = {model.relation: compiled[model.name] for model in self._models}
        self.steps_by_dbt = 0
        """How many steps could not be done so."""
        with warehouse.connected() as connection:
            self._kept = self._contents(connection)

    def begin_again(self) -> None:
        """Put everything back as it was after the first build."""
        with self._warehouse.connected() as connection:
            cursor = connection.cursor()
            cursor.execute("begin")
            for table in reversed(self._tables(cursor)):
                cursor.execute(f"delete from {table}")
                if self._kept[table]:
                    self._warehouse.insert(cursor, table, self._kept[table])
            cursor.execute("commit")
        self._warehouse.restart()

    def pass_through(self, change: Change) -> None:
        """Land what a change has, do the rest of it, and have every model take its steps.

        Raises:
            AssertionError: a table is not what the model's SQL gives, or a second step changes a row.
        """
        for load in change.loads:
            self._warehouse.land(load.events, load.organizations)
        one = self._models[int(change.chance * len(self._models))]
        with self._warehouse.connected() as connection:
            cursor = connection.cursor()
            if change.incident == "feed lost":
                cursor.execute(f"delete from penstock_changes.{one.relation.replace('.', '__')}")
        if change.incident == "killed":
            with suppress(Stopped):
                self._step(killed=one)
        elif change.incident == "behind":
            self._step(without=one)
        self._step()
        with self._warehouse.connected() as connection:
            self._expect_same(connection, change)
            before = self._written(connection)
        self._step()
        with self._warehouse.connected() as connection:
            assert self._written(connection) == before, f"again is nothing, after {change}"

    def _step(self, *, killed: BuiltTable | None = None, without: BuiltTable | None = None) -> None:
        by_dbt: BuiltTable | None = None
        with self._warehouse.connected() as connection:
            cursor = connection.cursor()
            for model in self._models:
                try:
                    if model != without:
                        self._step_of(cursor, model, killed=model == killed)
                except Unsound:
                    by_dbt = model
                    break
        if by_dbt is not None:
            self.steps_by_dbt += 1
            self._warehouse.dbt("run", "--select", by_dbt.name)
            self._step(killed=killed, without=without)

    def _step_of(self, cursor: Any, model: BuiltTable, *, killed: bool) -> None:
        """One model's step, as the package says in ``steps.sql`` that it is to be done."""
        ((text,),) = cursor.execute(
            f"select step from penstock_changes.models where model = '{model.relation}'"
        ).fetchall()
        step = json.loads(text)
        marks = dict(cursor.execute("select model, seq from penstock.watermarks").fetchall())
        ((upper,),) = cursor.execute("select coalesce(max(seq), 0) from penstock.loads").fetchall()
        after, upto = marks[model.relation], min([upper, *(marks[name] for name in step["reads"])])
        loads = self._loads(cursor, step["streams"], after, upto)
        if upto <= after:
            return
        cursor.execute("begin" if self._warehouse.engine == "duckdb" else "select 1")  # psycopg has begun
        try:
            perform(cursor, step, after, upto, loads)
        except Unsound:
            cursor.execute("rollback")
            raise
        if killed:
            cursor.execute("rollback")
            raise Stopped
        cursor.execute("commit")

    def _loads(self, cursor: Any, streams: Sequence[str], after: int, upto: int) -> str:
        names = ", ".join(f"'{stream}'" for stream in streams) or "''"
        found = cursor.execute(
            f"select load_id from penstock.loads where stream in ({names}) and seq > {after} and seq <= {upto}"
        ).fetchall()
        return f"(_pen_load in ({', '.join(str(id_) for (id_,) in found)}))" if found else "false"

    def _expect_same(self, connection: Any, change: Change) -> None:
        for name in self._names():
            have = Counter(map(str, connection.execute(f"select * from {name}").fetchall()))
            wanted = Counter(map(str, connection.execute(f"select * from ({self._sql[name]}) as model").fetchall()))
            assert have == wanted, f"{name}, after {change}: has {have - wanted} in place of {wanted - have}"

    def _written(self, connection: Any) -> dict[str, list[Any]]:
        """What changes when a row is written again."""
        mark = "rowid" if self._warehouse.engine == "duckdb" else "ctid::text || xmin::text"
        return {name: connection.execute(f"select {mark} from {name} order by 1").fetchall() for name in self._names()}

    def _names(self) -> list[str]:
        return [model.relation for model in self._models]

    def _contents(self, connection: Any) -> dict[str, list[Any]]:
        cursor = connection.cursor()
        return {table: cursor.execute(f"select * from {table}").fetchall() for table in self._tables(cursor)}

    def _tables(self, cursor: Any) -> list[str]:
        schemas = {*(name.partition(".")[0] for name in self._names()), *_SYSTEM}
        listed = ", ".join(f"'{schema}'" for schema in sorted(schemas))
        rows = cursor.execute(
            "select table_schema, table_name from information_schema.tables"
            f" where table_type = 'BASE TABLE' and table_schema in ({listed}) order by 1, 2"
        ).fetchall()
        return [f"{schema}.{table}" for schema, table in rows]
