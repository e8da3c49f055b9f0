"""Questions as Superset's datasets and charts."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from penstock.report.asking import Answer

SIZES = {"big_number_total": (3, 20), "table": (12, 50)}
"""Width, in twelfths of a row, and height, in units of 8 pixels, of what is no chart."""
CHART_SIZE = (6, 50)

_KINDS = {
    "bar": "echarts_timeseries_bar",
    "pyramid": "echarts_timeseries_bar",
    "line": "echarts_timeseries_line",
    "area": "echarts_area",
    "pie": "pie",
    "big number": "big_number_total",
    "map by country": "world_map",
}
_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "BOOLEAN"),
    (int, "BIGINT"),
    (float, "DOUBLE PRECISION"),
    (Decimal, "NUMERIC"),
    (datetime, "TIMESTAMP"),
    (date, "DATE"),
)


def columns_of(answered: Answer) -> list[dict[str, Any]]:
    """The columns of an answer, with types as its values have them."""
    columns = [] if answered.rows is None else answered.rows.columns
    charts = []
    for name in columns:
        kind = _type(answered, name)
        charts.append(
            {
                "column_name": name,
                "type": kind,
                "is_dttm": kind in ("TIMESTAMP", "DATE"),
                "groupby": True,
                "filterable": True,
                "is_active": True,
            }
        )
    return charts


def chart_of(answered: Answer) -> tuple[str, dict[str, Any]]:
    """Superset's kind of chart, and its parameters. What it has no chart for, and what has no rows yet, is a table."""
    header, axes = answered.question.header, answered.axes
    if axes is None or (header.each and header.by):
        columns = [] if answered.rows is None else list(answered.rows.columns)
        return "table", {"query_mode": "raw", "all_columns": columns, "row_limit": 1000, "server_page_length": 10}
    kind = _KINDS[header.show]
    metrics = [_metric(answered, y) for y in axes.ys]
    number = {"y_axis_format": ",.2~f"}
    match kind:
        case "big_number_total":
            sizes = {"header_font_size": 0.4, "subheader_font_size": 0.15}
            return kind, {"metric": metrics[0], "subheader": header.unit, **sizes, **number}
        case "pie":
            return kind, {
                "groupby": [axes.x],
                "metric": metrics[0],
                "label_type": "key_percent",
                "number_format": ",.2~f",
                "row_limit": 100,
            }
        case "world_map":
            return kind, {
                "entity": axes.x,
                "country_fieldtype": _country_type(answered, axes.x),
                "metric": metrics[0],
                "row_limit": 1000,
                **number,
            }
    by = header.by or header.each
    stacked = header.by and header.show in ("bar", "area")
    return kind, {
        "x_axis": axes.x,
        "metrics": metrics,
        "groupby": [by] if by else [],
        "row_limit": 10_000,
        "y_axis_title": header.unit,
        "y_axis_title_margin": 40 if header.unit else 0,
        "x_axis_sort": axes.x,
        "x_axis_sort_asc": True,
        "xAxisForceCategorical": _type(answered, axes.x) not in ("TIMESTAMP", "DATE"),
        "show_legend": bool(by) or len(metrics) > 1,
        "rich_tooltip": True,
        **({"stack": "Stack"} if stacked else {}),
        **number,
    }


def _metric(answered: Answer, column: str) -> dict[str, Any]:
    return {
        "expressionType": "SIMPLE",
        "column": {"column_name": column, "type": _type(answered, column)},
        "aggregate": "SUM",
        "label": column,
        "hasCustomLabel": True,
        "optionName": f"metric_{column}",
    }


def _type(answered: Answer, column: str) -> str:
    values = [r[column] for r in answered.records() if r[column] is not None]
    return next((name for kind, name in _TYPES if values and all(isinstance(v, kind) for v in values)), "TEXT")


def _country_type(answered: Answer, column: str) -> str:
    lengths = {len(str(r[column])) for r in answered.records() if r[column] is not None}
    return {frozenset({2}): "cca2", frozenset({3}): "cca3"}.get(frozenset(lengths), "name")
