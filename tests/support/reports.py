"""Answers and pages for the tests of the report, without a warehouse."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from penstock.errors import DestinationError
from penstock.ports import Rows
from penstock.project import Project, load_project
from penstock.report.asking import Answer, choose_axes
from penstock.report.models import Models
from penstock.report.page import report_page
from penstock.report.questions import Header, Question
from penstock.transform.manifest import Manifest, Resource

NOW = dt.datetime(2025, 3, 10, 12, 30, tzinfo=dt.UTC)
HOSTILE = "<script>fetch('http://example.com')</script> & \"co\""
DAYS = [dt.date(2025, 3, d) for d in range(1, 10)]

PROJECT = """
name: shop
destinations: {local: {type: duckdb, path: warehouse.duckdb}}
sources: {files: {type: files, path: "data/**"}}
streams: {orders: {from: files}}
"""


def question(name: str = "orders", sql: str = "select 1", **header: Any) -> Question:
    """A question as if it had been read from a file."""
    said = Header.model_validate({"question": f"What of {name}?", "show": "table", **header})
    return Question(name=name, path=Path("questions") / f"{name}.sql", header=said, sql=sql)


def answered(columns: Sequence[str], rows: Sequence[Sequence[Any]], name: str = "orders", **header: Any) -> Answer:
    """An answer as if the warehouse had given it."""
    asked = question(name, **header)
    found = Rows(columns=columns, rows=rows)
    model = Resource(id="model.shop.orders", name="orders", schema="marts", table="orders", kind="model")
    return Answer(question=asked, sql=asked.sql, reads=[model], rows=found, axes=choose_axes(asked, found))


def every_kind() -> list[Answer]:
    """One answer of each kind, one that failed, one without rows, and one with texts that are not to be trusted."""
    by_kind = [(d, kind, (i + 2) * n) for i, d in enumerate(DAYS) for n, kind in enumerate(("new", "old"), 1)]
    ages = [("0 to 9", "female", 3), ("0 to 9", "male", 4), ("10 to 19", "female", 5), ("10 to 19", "male", 2)]
    nations = ("Norway", "Spain", "France", "Iran")
    problem = DestinationError("Table marts.gone does not exist!", where="questions/gone.sql", fix="penstock run")
    return [
        answered(["n"], [(1_234_567,)], "count", show="big number", unit="orders"),
        answered(["day", "n"], [(d, i * i) for i, d in enumerate(DAYS)], "lines", show="line"),
        answered(["day", "kind", "n"], by_kind, "areas", show="area", by="kind"),
        answered(["day", "kind", "n"], by_kind, "columns", show="bar", by="kind", about="By day and kind."),
        answered(["city", "n"], [(HOSTILE, 4), ("Łódź", 3), (None, Decimal("1.5"))], "bars", show="bar"),
        answered(["city", "n", "before"], [("Oslo", 4, 2), ("Rome", 3, 1)], "grouped", show="bar"),
        answered(["year", "n"], [(2000 + y, y) for y in range(25)], "years", show="bar"),
        answered(["kind", "n"], [(f"kind {i}", 20 - i) for i in range(12)], "parts", show="pie"),
        answered(["age", "gender", "n"], ages, "pyramid", show="pyramid", by="gender"),
        answered(
            ["nation", "age", "gender", "n"],
            [(n, *a) for n in nations for a in ages],
            "pyramids",
            show="pyramid",
            x="age",
            by="gender",
            each="nation",
        ),
        answered(["nat", "n"], [("DE", 3), ("GBR", 9), ("Brazil", 30), ("SG", 1)], "map", show="map by country"),
        answered(["city", "at"], [(HOSTILE, NOW), (None, None)], "words"),
        answered(["n"], [], "empty", show="line"),
        Answer(question=question("gone"), problem=problem),
    ]


def status() -> dict[str, Any]:
    """What the ledger says of the shop."""
    at = NOW - dt.timedelta(minutes=7)
    load = {"stream": "orders", "source": "files", "read": 3, "landed": 2, "duplicates": 0, "quarantined": 1}
    return {
        "streams": [{**load, "last_commit": at}],
        "loads": [{**load, "committed_at": at}],
        "quarantine": [
            {"stream": "orders", "reason_code": "invalid_json", "waiting": 1, "replayed": 0, "dropped": 0, "last": at}
        ],
        "models": [{"model": "marts.orders", "loads_behind": 0, "updated_at": at}],
        "runs": [],
        "expectations": [
            {"stream": "orders", "expectation": "fresh within 5m", "state": "failed", "seen": "last landed 7m ago"}
        ],
    }


def models(project: Project) -> Models:
    """The shop's models, as if dbt had been asked."""
    raw = Resource(id="source.shop.raw.orders", name="raw.orders", schema="raw", table="orders", kind="source")
    orders = Resource(
        id="model.shop.orders", name="orders", schema="marts", table="orders", kind="model", reads=(raw.id,)
    )
    return Models(project, Manifest({raw.id: raw, orders.id: orders}))


def shop(folder: Path) -> Project:
    """A project of one stream."""
    (folder / "penstock.yml").write_text(PROJECT, encoding="utf-8")
    return load_project(folder, environ={})


def page_of(folder: Path, answers: Sequence[Answer]) -> str:
    """The page with these answers."""
    project = shop(folder)
    return report_page(project, answers, status(), models(project), now=NOW)
