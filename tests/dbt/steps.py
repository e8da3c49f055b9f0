"""Performs the statements that models keep of their steps, without dbt, and computes each table from its SQL."""

from __future__ import annotations

import json
from collections import Counter
from graphlib import TopologicalSorter
from typing import Any

from tests.dbt.warehouse import Warehouse

Plan = dict[str, Any]


class Unsound(Exception):
    """A step that has to be done whole, which dbt does."""


def perform(connection: Any, step: Plan, after: int, upto: int, loads: str) -> None:
    """The statements of a step in an open transaction; ``loads`` is the condition on the loads that it takes in.

    Raises:
        Unsound: it cannot be done so.
    """
    news = True
    marks = dict(connection.execute("select model, seq from penstock.watermarks").fetchall())
    of_feeds = f"select input, seq from penstock_changes.marks where model = '{step['model']}'"
    taken = dict(connection.execute(of_feeds).fetchall())
    for kind, statement in step["step"]:
        if not news and kind != "mark":
            continue
        sql = statement.replace("{after}", str(after)).replace("{upto}", str(upto)).replace("{loads}", loads)
        for model in step["feeds"]:
            sql = sql.replace(f"{{after {model}}}", str(taken.get(model, after)))
            sql = sql.replace(f"{{upto {model}}}", str(marks[model]))
        result = connection.execute(sql)
        if kind == "news":
            news = bool(result.fetchall())
        elif kind == "sound" and result.fetchall():
            raise Unsound(f"{step['model']}: {sql}")
        elif kind == "mark":
            assert result.fetchall() == [(upto,)]


class Steps:
    """The models of a warehouse that dbt has built, taken on by their own statements."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        rows = warehouse.rows("select step from penstock_changes.models")
        plans: dict[str, Plan] = {plan["model"]: plan for plan in (json.loads(step) for (step,) in rows)}
        order = TopologicalSorter({name: plan["reads"] for name, plan in plans.items()}).static_order()
        self.plans = [plans[name] for name in order]
        folder = warehouse.home / "target" / "compiled"
        self._sql = {path.stem: path.read_text() for path in folder.rglob("*.sql")}

    def take(self, connection: Any, upper: int, left_out: frozenset[str] = frozenset()) -> None:
        """One step of every model, each in a transaction; those that are left out stay behind."""
        for plan in self.plans:
            if plan["model"] not in left_out:
                self._take(connection, plan, upper)

    def _take(self, connection: Any, plan: Plan, upper: int) -> None:
        marks = dict(connection.execute("select model, seq from penstock.watermarks").fetchall())
        after = marks[plan["model"]]
        upto = min([upper, *(marks[model] for model in plan["reads"])])
        if upto <= after:
            return
        connection.execute("begin")
        try:
            self._perform(connection, plan, after, upto)
        except BaseException:
            connection.execute("rollback")
            raise
        connection.execute("commit")

    def _perform(self, connection: Any, plan: Plan, after: int, upto: int) -> None:
        streams = ", ".join(f"'{stream}'" for stream in plan["streams"]) or "''"
        loads = connection.execute(
            f"select load_id from penstock.loads where stream in ({streams}) and seq > {after} and seq <= {upto}"
        ).fetchall()
        condition = f"_pen_load in ({', '.join(str(load) for (load,) in loads)})" if loads else "false"
        perform(connection, plan, after, upto, condition)

    def expect_exact(self, connection: Any) -> None:
        """Compare every table with what its SQL gives of the raw tables as they are."""
        places: dict[str, str] = {}
        for number, plan in enumerate(self.plans):
            sql = self._sql[plan["model"].split(".")[1]]
            for model, place in places.items():
                schema, table = model.split(".")
                sql = sql.replace(f'"{self._database(connection)}"."{schema}"."{table}"', place)
            places[plan["model"]] = f"_expected_{number}"
            connection.execute(f"drop table if exists _expected_{number}")
            connection.execute(f"create temporary table _expected_{number} as {sql}")
        for model, place in places.items():
            have = Counter(map(str, connection.execute(f"select * from {model}").fetchall()))
            wanted = Counter(map(str, connection.execute(f"select * from {place}").fetchall()))
            assert have == wanted, f"{model}: has {have - wanted} in place of {wanted - have}"

    @staticmethod
    def _database(connection: Any) -> str:
        name: str = connection.execute("select current_database()").fetchall()[0][0]
        return name
