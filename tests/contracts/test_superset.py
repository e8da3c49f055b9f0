"""The ZIP for Superset, as far as it can be told without one; ``make test-superset`` imports it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.bi.superset.chart_files import chart_of
from penstock.bi.superset.exporting import files_of, zipped
from penstock.bi.warehouse import Reach, reach_of
from penstock.cli.app import app
from penstock.errors import UsageError
from tests.support.reports import every_kind, shop

REACH = Reach(
    host="db.example.com",
    port=5433,
    database="sales",
    user="reader",
    password="no-secret",
    sslmode="require",
    owner=False,
)
KINDS = {
    "count": "big_number_total",
    "lines": "echarts_timeseries_line",
    "areas": "echarts_area",
    "columns": "echarts_timeseries_bar",
    "bars": "echarts_timeseries_bar",
    "grouped": "echarts_timeseries_bar",
    "years": "echarts_timeseries_bar",
    "parts": "pie",
    "pyramid": "echarts_timeseries_bar",
    "pyramids": "table",
    "map": "world_map",
    "words": "table",
    "empty": "table",
}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    """The documents of a ZIP with a question of each kind, as they are in it."""
    answers = [a for a in every_kind() if a.problem is None]
    content = zipped(files_of("shop", REACH, answers))
    assert content == zipped(files_of("shop", REACH, answers))
    assert b"no-secret" not in content
    (tmp_path / "shop.zip").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "shop.zip") as bundle:
        assert {n.partition("/")[0] for n in bundle.namelist()} == {"penstock"}
        return {n.partition("/")[2]: yaml.safe_load(bundle.read(n)) for n in bundle.namelist()}


def test_parts(files: dict[str, Any]) -> None:
    """There is a dataset and a chart a question, each of its kind; all refer to each other by their UUIDs."""
    assert files["metadata.yaml"] == {"version": "1.0.0"}
    database = files["databases/shop.yaml"]
    assert database["sqlalchemy_uri"] == (
        "postgresql+psycopg2://reader:XXXXXXXXXX@db.example.com:5433/sales?sslmode=require"
    )
    charts = {k: v for k, v in files.items() if k.startswith("charts/")}
    assert {Path(k).stem: v["viz_type"] for k, v in charts.items()} == KINDS
    datasets = {v["uuid"]: v for k, v in files.items() if k.startswith("datasets/")}
    assert {d["database_uuid"] for d in datasets.values()} == {database["uuid"]}
    for chart in charts.values():
        columns = {c["column_name"] for c in datasets[chart["dataset_uuid"]]["columns"]}
        said = chart["params"]
        named = [said.get("x_axis"), said.get("entity"), *said.get("groupby", []), *said.get("all_columns", [])]
        metrics = [*said.get("metrics", []), *([said["metric"]] if "metric" in said else [])]
        assert {n for n in named if n} | {m["column"]["column_name"] for m in metrics} <= columns
    uuids = [v["uuid"] for v in files.values() if "uuid" in v]
    assert len(uuids) == len(set(uuids)) == 2 * len(KINDS) + 2


def test_dashboard(files: dict[str, Any]) -> None:
    """Every chart stands in one row, no row is wider than twelve, and what stands in it has one height."""
    position = files["dashboards/shop.yaml"]["position"]
    placed = []
    for name in position["GRID_ID"]["children"]:
        charts = [position[c]["meta"] for c in position[name]["children"]]
        assert sum(c["width"] for c in charts) <= 12
        assert len({c["height"] for c in charts}) == 1
        placed += [c["uuid"] for c in charts]
    assert placed == [v["uuid"] for k, v in files.items() if k.startswith("charts/")]


def test_countries_by_their_codes() -> None:
    """Superset has to be told how countries are written."""
    [answer] = [a for a in every_kind() if a.question.name == "map"]
    assert chart_of(answer)[1]["country_fieldtype"] == "name"


def test_no_duckdb(tmp_path: Path) -> None:
    """A DuckDB file is refused, with what to do."""
    project = shop(tmp_path)
    with pytest.raises(UsageError, match="Superset cannot read duckdb"):
        reach_of(project, "Superset", {})
    from typer.testing import CliRunner

    done = CliRunner().invoke(app, ["superset", "export", "--project-dir", str(tmp_path)])
    assert isinstance(done.exception, UsageError)
    assert not (tmp_path / "superset.zip").exists()
