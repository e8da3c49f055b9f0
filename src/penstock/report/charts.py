"""An answer as Vega-Lite. Colours are CSS variables, so that one picture serves light and dark."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

from penstock.report.asking import Answer, Axes
from penstock.report.numbers import shown

Spec = dict[str, Any]

WIDE, NARROW = 680, 340
"""Widths in pixels: on a desk or on paper, and on a phone."""

MAX_SERIES = 8
MAX_BARS = 40
MAX_PANELS = 24
MISSING = "(none)"
OTHERS = "others"

_SERIES = [f"var(--c{i})" for i in range(1, MAX_SERIES + 1)]
_SHADES = [f"var(--m{i})" for i in range(1, 6)]
_INK, _SOFT, _LINE = "var(--ink)", "var(--soft)", "var(--line)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The specification for a desk, and for a phone; ``notes`` say what the picture leaves out."""

    spec: Spec
    narrow: Spec
    notes: Sequence[str] = ()


@dataclass(slots=True, kw_only=True)
class _Data:
    """The rows of a chart: ``x``, ``y``, series ``s`` and panel ``f``, with the order of each."""

    values: list[dict[str, Any]]
    xs: list[Any]
    series: list[str]
    panels: list[str]
    notes: list[str] = field(default_factory=list)


def chart_of(answer: Answer) -> Chart | None:
    """The chart of an answer; None for what is shown in words: tables, big numbers, answers without rows."""
    show = answer.question.header.show
    if answer.axes is None or answer.rows is None or show in ("table", "big number"):
        return None
    if show == "map by country":
        return _map(answer, answer.axes)
    data = _read(answer, answer.axes)
    if not data.values:
        return None
    draw = {"pie": _pie, "pyramid": _pyramid, "bar": _bars}.get(show, _lines)
    data.notes += _fitting(data, show)
    specs = [_whole(draw(data, answer, width), width) for width in (WIDE, NARROW)]
    return Chart(spec=specs[0], narrow=specs[1], notes=data.notes)


def _read(answer: Answer, axes: Axes) -> _Data:
    assert answer.rows is not None
    at = {name: i for i, name in enumerate(answer.rows.columns)}
    values = []
    gone = 0
    for row in answer.rows.rows:
        for y in axes.ys:
            number = row[at[y]]
            if number is None:
                gone += 1
                continue
            series = _label(row[at[axes.by]]) if axes.by else y
            panel = _label(row[at[axes.each]]) if axes.each else ""
            values.append({"x": row[at[axes.x]], "y": float(number), "s": series, "f": panel})
    notes = [f"Left out: {_rows(gone)} without a number."] if gone else []
    if _temporal(known := [v["x"] for v in values if v["x"] is not None]):
        if len(known) < len(values):
            notes.append(f"Left out: {_rows(len(values) - len(known))} without a date.")
        values = [{**v, "x": _moment(v["x"])} for v in values if v["x"] is not None]
    elif not (known and len(known) == len(values) and all(_number(x) for x in known)):
        values = [{**v, "x": _label(v["x"])} for v in values]
    else:
        values = [{**v, "x": int(x) if (x := v["x"]) % 1 == 0 else float(x)} for v in values]
    return _Data(
        values=values,
        xs=list(dict.fromkeys(v["x"] for v in values)),
        series=list(dict.fromkeys(v["s"] for v in values)),
        panels=list(dict.fromkeys(v["f"] for v in values)),
        notes=notes,
    )


def _fitting(data: _Data, show: str) -> list[str]:
    """Bring the data down to what can be told apart, and say what was done."""
    notes = []
    if show == "pie":
        data.series = data.xs = [str(x) for x in data.xs]
        for v in data.values:
            v["s"] = str(v["x"])
    if show == "pyramid" and len(data.series) > 2:
        notes.append(
            f"Drawn are {data.series[0]} and {data.series[1]}; the table has {', '.join(data.series[2:])} too."
        )
        data.series = data.series[:2]
        data.values = [v for v in data.values if v["s"] in data.series]
    if len(data.series) > MAX_SERIES:
        sizes = {s: sum(abs(v["y"]) for v in data.values if v["s"] == s) for s in data.series}
        kept = sorted(sizes, key=lambda s: -sizes[s])[: MAX_SERIES - 1]
        if show == "line":
            notes.append(f"The {len(kept)} greatest of {len(data.series)} are drawn; the table has all.")
            data.values = [v for v in data.values if v["s"] in kept]
            data.series = [s for s in data.series if s in kept]
        else:
            notes.append(f"Beyond the {len(kept)} greatest, {len(data.series) - len(kept)} are put together as others.")
            data.values = _together(data.values, kept)
            data.series = [*(s for s in data.series if s in kept), OTHERS]
    if show == "bar" and len(data.xs) > MAX_BARS and isinstance(data.xs[0], str) and not _iso(data.xs[0]):
        notes.append(f"The first {MAX_BARS} of {len(data.xs)} are drawn; the table has all.")
        data.xs = data.xs[:MAX_BARS]
        data.values = [v for v in data.values if v["x"] in set(data.xs)]
    if len(data.panels) > MAX_PANELS:
        notes.append(f"The first {MAX_PANELS} of {len(data.panels)} are drawn; the table has all.")
        data.panels = data.panels[:MAX_PANELS]
        data.values = [v for v in data.values if v["f"] in data.panels]
    return notes


def _together(values: Sequence[Mapping[str, Any]], kept: Sequence[str]) -> list[dict[str, Any]]:
    sums: dict[tuple[Any, str, str], float] = {}
    for v in values:
        key = (v["x"] if v["x"] != v["s"] or v["s"] in kept else OTHERS, v["s"] if v["s"] in kept else OTHERS, v["f"])
        sums[key] = sums.get(key, 0) + v["y"]
    return [{"x": x, "s": s, "f": f, "y": y} for (x, s, f), y in sums.items()]


def _lines(data: _Data, answer: Answer, width: int) -> Spec:
    area = answer.question.header.show == "area"
    split = answer.axes is not None and answer.axes.by is not None
    mark: Spec = {"type": "area", "opacity": 0.75 if split else 0.35, "line": not split} if area else {"type": "line"}
    if not area and len(data.xs) <= MAX_BARS:
        mark["point"] = {"filled": True, "size": 36}
    if area and not split:
        mark["line"] = {"color": _SERIES[0]}
    encoding: Spec = {"x": _along(data, width), "y": _number_axis(answer, stack="zero" if area and split else None)}
    return _panels({"mark": mark, "encoding": {**encoding, **_colour(data, width)}}, data, width, 240)


def _bars(data: _Data, answer: Answer, width: int) -> Spec:
    grouped = answer.axes is not None and len(answer.axes.ys) > 1
    upright = all(_number(x) or _iso(x) for x in data.xs)
    if upright:
        return _columns(data, answer, width, grouped)
    names = {"field": "x", "type": "nominal", "sort": data.xs, "title": None, "axis": _names(width)}
    numbers = _number_axis(answer, stack=None if grouped else "zero")
    bars: Spec = {
        "mark": {"type": "bar", "cornerRadiusEnd": 2},
        "encoding": {"y": names, "x": {**numbers, "axis": {**numbers["axis"], "tickCount": 4}}, **_colour(data, width)},
    }
    step = 15 if grouped else 24
    if grouped:
        bars["encoding"]["yOffset"] = {"field": "s", "type": "nominal", "sort": data.series}
    size = step * len(data.xs) * (len(data.series) if grouped else 1)
    if len(data.series) == 1 and len(data.panels) == 1:
        # the number stands at the end of its bar: no axis is needed
        bars["encoding"]["x"] = {
            **numbers,
            "axis": None,
            "scale": {"zero": True, "nice": False, "domainMax": _room(data)},
        }
        text = {"type": "text", "align": "left", "dx": 5, "color": _INK, "fontSize": 12}
        label = {"text": {"field": "t", "type": "nominal"}}
        for v in data.values:
            v["t"] = shown(v["y"])
        both = {k: bars["encoding"][k] for k in ("x", "y")}
        bars = {"layer": [bars, {"mark": text, "encoding": {**both, **label}}]}
    return _panels(bars, data, width, max(size, 40))


def _room(data: _Data) -> float:
    """Where the axis ends, so that a number fits beside the longest bar."""
    return max(max(v["y"] for v in data.values), 0) * 1.22 or 1


def _columns(data: _Data, answer: Answer, width: int, grouped: bool) -> Spec:
    dates = _iso(data.xs[0])
    mark: Spec = {"type": "bar"}
    along = _along(data, width)
    if dates and not grouped:
        moments = sorted(datetime.fromisoformat(x) for x in data.xs)
        step = min((b - a for a, b in pairwise(moments)), default=timedelta(days=1))
        slots = (moments[-1] - moments[0]) / step + 1
        mark["width"] = round(max(1.0, (width - 70) / slots * 0.8), 1)
        ends = [_epoch((moments[0] - step / 2).isoformat()), _epoch((moments[-1] + step / 2).isoformat())]
        along["scale"] = {"type": "utc", "domain": ends, "nice": False}
    else:
        marks = [str(x) for x in _some(sorted(data.xs), width // 40)]
        texts = {str(x): _date_text(str(x), data.xs) if dates else str(x) for x in data.xs}
        for v in data.values:
            v["x"] = str(v["x"])
        along = {
            "field": "x", "type": "ordinal", "sort": [str(x) for x in sorted(data.xs)], "title": None,
            "axis": {"labelAngle": 0, "values": marks, "labelExpr": f"{json.dumps(texts)}[datum.value]"},
        }  # fmt: skip
    encoding = {"x": along, "y": _number_axis(answer, stack=None if grouped else "zero"), **_colour(data, width)}
    if grouped:
        encoding["xOffset"] = {"field": "s", "type": "nominal", "sort": data.series}
    return _panels({"mark": mark, "encoding": encoding}, data, width, 240)


def _pie(data: _Data, answer: Answer, width: int) -> Spec:
    total = sum(v["y"] for v in data.values)
    unit = f" {answer.question.header.unit}" if answer.question.header.unit else ""
    sums = {s: sum(v["y"] for v in data.values if v["s"] == s) for s in data.series}
    texts = {s: f"{s}: {shown(n)}{unit} ({n / total:.0%})" if total else s for s, n in sums.items()}
    values = [{"y": n, "s": texts[s], "i": i} for i, (s, n) in enumerate(sums.items())]
    radius = 110 if width == WIDE else 95
    legend = {
        "orient": "right" if width == WIDE else "bottom",
        "columns": 1,
        "labelLimit": 280,
        "title": None,
        "offset": 20,
    }
    return {
        "data": {"values": values},
        "mark": {"type": "arc", "innerRadius": radius * 0.5, "outerRadius": radius, "stroke": "var(--card)"},
        "encoding": {
            "theta": {"field": "y", "type": "quantitative", "stack": True},
            "order": {"field": "i"},
            "color": {
                "field": "s", "type": "nominal", "legend": legend,
                "scale": {"domain": list(texts.values()), "range": _SERIES},
            },
        },
        "height": 2 * radius + 10,
        "padding": {"left": 8, "right": 60 if width == WIDE else 8, "top": 4, "bottom": 4},
    }  # fmt: skip


def _pyramid(data: _Data, answer: Answer, width: int) -> Spec:
    left = data.series[0]
    values = [{**v, "x": str(v["x"]), "y": -v["y"] if v["s"] == left else v["y"]} for v in data.values]
    order = [str(x) for x in reversed(data.xs)]
    axis = {"labelExpr": "format(abs(datum.value), ',')", "tickCount": 4, "title": answer.question.header.unit or None}
    ends = max(abs(v["y"]) for v in values) or 1
    inner: Spec = {
        "mark": {"type": "bar", "cornerRadiusEnd": 2},
        "encoding": {
            "y": {"field": "x", "type": "nominal", "sort": order, "title": None, "axis": _names(width)},
            "x": {
                "field": "y", "type": "quantitative", "stack": None, "axis": axis,
                "scale": {"domain": [-ends, ends]},
            },
            **_colour(data, width),
        },
    }  # fmt: skip
    one = len(data.panels) == 1
    drawn = _Data(values=values, xs=data.xs, series=data.series, panels=data.panels)
    return _panels(inner, drawn, width, (20 if one else 13) * len(order))


def _map(answer: Answer, axes: Axes) -> Chart:
    assert answer.rows is not None
    world = countries()
    at = {name: i for i, name in enumerate(answer.rows.columns)}
    sums: dict[str, float] = {}
    drawable = {g["properties"]["code"] for g in world["objects"]["countries"]["geometries"]}
    missing = []
    for row in answer.rows.rows:
        place, number = row[at[axes.x]], row[at[axes.ys[0]]]
        code = world["names"].get(str(place).strip().casefold())
        if code in drawable and number is not None:
            sums[code] = sums.get(code, 0.0) + float(number)
        elif number is not None:
            missing.append(_label(place))
    shapes = [
        {**g, "properties": {**g["properties"], "y": sums.get(g["properties"]["code"])}}
        for g in world["objects"]["countries"]["geometries"]
    ]
    topology = {**{k: world[k] for k in ("type", "transform", "arcs")}, "objects": {"countries": {
        "type": "GeometryCollection", "geometries": shapes}}}  # fmt: skip
    distinct = len(set(sums.values()))
    unit = answer.question.header.unit or axes.ys[0].replace("_", " ")
    specs = []
    for width in (WIDE, NARROW):
        colour: Spec = {"value": _SHADES[3]}
        if distinct > 1:
            legend = {
                "title": unit,
                "orient": "bottom",
                "gradientLength": width * 0.6,
                "gradientThickness": 10,
                "format": "~s",
            }
            colour = {
                "field": "properties.y", "type": "quantitative", "legend": legend,
                "scale": {
                    "type": "quantize", "range": _SHADES, "nice": True,
                    "domain": [min(sums.values()), max(sums.values())],
                },
            }  # fmt: skip
        shape = {"type": "geoshape", "stroke": "var(--card)", "strokeWidth": 0.4}
        specs.append(
            _whole(
                {
                    "data": {"values": topology, "format": {"type": "topojson", "feature": "countries"}},
                    "width": width - 10,
                    "height": round(width * 0.47),
                    "projection": {"type": "equalEarth"},
                    "layer": [
                        {"mark": {**shape, "fill": "var(--land)"}},
                        {
                            "transform": [{"filter": "isValid(datum.properties.y)"}],
                            "mark": shape,
                            "encoding": {"color": colour},
                        },
                    ],
                },
                width,
            )
        )
    notes = [f"Not on the map: {', '.join(dict.fromkeys(missing))}."] if missing else []
    return Chart(spec=specs[0], narrow=specs[1], notes=notes)


@cache
def countries() -> dict[str, Any]:
    """Borders (TopoJSON), and what countries are called → their code."""
    world: dict[str, Any] = json.loads(files("penstock.report").joinpath("countries.json").read_text(encoding="utf-8"))
    return world


def _along(data: _Data, width: int) -> Spec:
    if _iso(data.xs[0]):
        axis: Spec = {"labelAngle": 0, "grid": False}
        moments = sorted(data.xs)
        if all(m.endswith("T00:00:00Z") for m in moments):
            values = _some(moments, width // 75)
            axis |= {"values": [_epoch(m) for m in values], "format": _date_format(moments)}
        return {"field": "x", "type": "temporal", "title": None, "axis": axis, "scale": {"type": "utc"}}
    if all(_number(x) for x in data.xs):
        axis = {"format": "d" if all(isinstance(x, int) for x in data.xs) else "~f", "grid": False, "labelAngle": 0}
        return {"field": "x", "type": "quantitative", "title": None, "axis": axis, "scale": {"zero": False}}
    axis = {"labelAngle": 0 if len(data.xs) * 60 < width else -40, "labelLimit": 110}
    return {"field": "x", "type": "ordinal", "sort": data.xs, "title": None, "axis": axis}


def _some(values: Sequence[Any], most: int) -> list[Any]:
    """At most so many of them, evenly apart, the first among them."""
    return list(values[:: -(-len(values) // most)])


def _date_format(moments: Sequence[str]) -> str:
    if all(m[5:10] == "01-01" for m in moments):
        return "%Y"
    if all(m[8:10] == "01" for m in moments) and len(moments) > 1:
        return "%b %Y"
    return "%-d %b" if moments[0][:4] == moments[-1][:4] else "%-d %b %y"


def _date_text(moment: str, moments: Sequence[str]) -> str:
    day = datetime.fromisoformat(moment)
    return day.strftime(_date_format(sorted(moments)).replace("%-d", str(day.day)))


def _number_axis(answer: Answer, stack: str | None) -> Spec:
    header = answer.question.header
    ys = answer.axes.ys if answer.axes else ()
    title = header.unit or (ys[0].replace("_", " ") if len(ys) == 1 else None)
    format_ = "~s" if answer.rows and max((abs(float(v)) for v in _numbers(answer)), default=0) >= 10_000 else ",.4~f"
    axis: Spec = {"format": format_, "tickCount": 5, "title": title}
    if all(v % 1 == 0 for v in _numbers(answer)):
        axis["tickMinStep"] = 1
    return {"field": "y", "type": "quantitative", "stack": stack, "axis": axis}


def _numbers(answer: Answer) -> list[Any]:
    assert answer.rows is not None and answer.axes is not None
    places = [list(answer.rows.columns).index(y) for y in answer.axes.ys]
    return [row[i] for row in answer.rows.rows for i in places if row[i] is not None]


def _names(width: int) -> Spec:
    return {
        "labelLimit": 200 if width == WIDE else 110,
        "grid": False,
        "ticks": False,
        "domain": False,
        "labelPadding": 6,
    }


def _colour(data: _Data, width: int) -> Spec:
    if len(data.series) == 1:
        return {"color": {"value": _SERIES[0]}}
    longest = max(len(s) for s in data.series)
    columns = max(1, min(len(data.series), (width - 40) // (longest * 7 + 28)))
    legend = {"orient": "top", "title": None, "columns": columns, "labelLimit": 200}
    scale = {"domain": data.series, "range": _SERIES[: len(data.series)]}
    return {"color": {"field": "s", "type": "nominal", "legend": legend, "scale": scale, "sort": data.series}}


def _panels(inner: Spec, data: _Data, width: int, height: int) -> Spec:
    """The chart, or one a panel."""
    source = {"data": {"values": data.values}}
    if len(data.panels) == 1:
        return {**source, **inner, "height": height}
    columns = 3 if width == WIDE else 2
    names = 62 if "y" in inner.get("encoding", {}) and inner["encoding"]["y"].get("type") == "nominal" else 34
    share = (width - 20) // columns - 16 - names // (1 if columns == 1 else 2)
    facet = {"field": "f", "type": "nominal", "sort": data.panels, "columns": columns, "title": None}
    return {
        **source,
        "facet": facet,
        "spec": {**inner, "width": share, "height": height},
        "spacing": 14,
        "columns": columns,
    }


def _whole(spec: Spec, width: int) -> Spec:
    """With what all charts share."""
    text = {
        "labelColor": _SOFT,
        "titleColor": _SOFT,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    sized = {} if "facet" in spec or "projection" in spec else {
        "width": width, "autosize": {"type": "fit-x", "contains": "padding"}}  # fmt: skip
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "background": None,
        "padding": {"left": 8, "right": 14, "top": 4, "bottom": 4},
        **sized,
        **spec,
        "config": {
            "aria": False,
            "font": "Helvetica, Arial, sans-serif",
            "view": {"stroke": None},
            "axis": {**text, "gridColor": _LINE, "domainColor": _LINE, "tickColor": _LINE, "labelOverlap": True},
            "legend": {
                **text,
                "gradientStrokeColor": _LINE,
                "labelColor": _INK,
                "symbolType": "square",
                "padding": 0,
                "offset": 8,
            },
            "header": {"labelColor": _INK, "titleColor": _INK, "labelFontSize": 12, "labelFontWeight": "bold"},
            "line": {"strokeWidth": 2.2},
        },
    }


def _label(value: Any) -> str:
    return MISSING if value is None or value == "" else shown(value) if not _number(value) else str(value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _rows(number: int) -> str:
    return f"{number:,} row{'' if number == 1 else 's'}"


def _temporal(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(v, date) for v in values)


def _moment(value: date) -> str:
    if isinstance(value, datetime):
        value = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return f"{value.isoformat()}Z"
    return f"{value.isoformat()}T00:00:00Z"


def _epoch(moment: str) -> int:
    """Milliseconds: how Vega wants the ends of a scale."""
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def _iso(value: Any) -> bool:
    return isinstance(value, str) and len(value) >= 20 and value[10] == "T" and value[4] == "-"
