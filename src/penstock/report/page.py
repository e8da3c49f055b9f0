"""The report: one HTML file that asks no network for anything and runs no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from penstock.errors import PenstockError
from penstock.ports import Rows
from penstock.report.asking import Answer, Axes
from penstock.report.charts import chart_of
from penstock.report.lineage import Node, lineage, picture
from penstock.report.models import Models
from penstock.report.numbers import ago, shown
from penstock.report.pictures import Painter

if TYPE_CHECKING:
    from penstock.project import Project

MAX_TABLE_ROWS = 200
MAX_TILES = 12
_NUMERIC = ("read", "landed", "duplicates", "quarantined", "loads", "waiting", "replayed", "dropped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells as text. ``right`` are the places of columns of numbers; ``left_out`` rows are not in it."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int] = frozenset()
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One answer on the page: pictures for a desk and a phone, or tiles of big numbers; its table; what is wrong."""

    answer: Answer
    wide: str = ""
    narrow: str = ""
    tiles: Sequence[tuple[str, str]] = ()
    table: Table | None = None
    notes: Sequence[str] = ()


def report_page(
    project: Project, answers: Sequence[Answer], status: dict[str, Any], models: Models, *, now: datetime
) -> str:
    """The whole page. ``status`` is what :func:`penstock.doctor.status.read_status` gives.

    Raises:
        UsageError: the library that draws is not installed.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    painter = Painter()
    shown_answers = [_shown(a, painter) for a in answers]
    trouble = ""
    nodes: list[Node] = []
    try:
        nodes = lineage(project, models, answers)
    except PenstockError as e:
        trouble = str(e)
    package = files("penstock.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(package.joinpath("page.html").read_text(encoding="utf-8")).render(
        style=Markup(package.joinpath("page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        project=project,
        made=now.astimezone(UTC),
        answers=shown_answers,
        failed=sum(s.answer.problem is not None for s in shown_answers),
        freshness=_freshness(status, now),
        expectations=_of(status["expectations"], "Expectations", ("stream", "expectation", "state", "seen")),
        loads=_of(
            status["loads"],
            "Last loads",
            ("stream", "source", "read", "landed", "duplicates", "quarantined", "committed_at"),
        ),
        quarantine=_of(
            status["quarantine"], "Quarantine", ("stream", "reason_code", "waiting", "replayed", "dropped", "last")
        ),
        waiting=sum(row["waiting"] for row in status["quarantine"]),
        models=_of(status["models"], "Models", ("model", "loads_behind", "updated_at")),
        graph=Markup(picture(nodes)) if nodes else "",  # noqa: S704 - names in it are escaped
        lineage=_lineage_table(nodes),
        trouble=trouble,
        Markup=Markup,
    )


def _shown(answer: Answer, painter: Painter) -> Shown:
    if answer.rows is None:
        return Shown(answer=answer)
    header = answer.question.header
    table = table_of(answer.rows, header.question)
    if header.show == "big number" and answer.axes is not None:
        tiles = _tiles(answer, answer.axes)
        if len(tiles) <= MAX_TILES:
            return Shown(answer=answer, tiles=tiles, table=table if len(answer.rows.rows) > 1 else None)
    try:
        chart = chart_of(answer)
        if chart is None:
            return Shown(answer=answer, table=table)
        label = f"{header.show.capitalize()}: {header.question} The table below has the numbers."
        wide = painter.svg(chart.spec, label=label, kind="wide")
        narrow = painter.svg(chart.narrow, label=label, kind="narrow")
    except PenstockError as e:
        return Shown(answer=answer, table=table, notes=[str(e)])
    return Shown(answer=answer, wide=wide, narrow=narrow, table=table, notes=chart.notes)


def _tiles(answer: Answer, axes: Axes) -> list[tuple[str, str]]:
    tiles = []
    for record in answer.records():
        for y in axes.ys:
            named = [str(shown(record[axes.x]))] if axes.x else []
            words = [
                *named,
                *([y.replace("_", " ")] if len(axes.ys) > 1 or (not named and not answer.question.header.unit) else []),
            ]
            tiles.append((shown(record[y]) or "–", ", ".join(words) or answer.question.header.unit))
    return tiles


def table_of(rows: Rows, caption: str) -> Table:
    """The first rows, as text."""
    cells = [[_cell(v) for v in row] for row in rows.rows[:MAX_TABLE_ROWS]]
    right = {
        i
        for i in range(len(rows.columns))
        if any(isinstance(r[i], int | float) or hasattr(r[i], "quantize") for r in rows.rows)
    }
    years = {i for i in right if rows.columns[i].endswith(("year", "_key", "_id", "month"))}
    for i in years:
        for cell, row in zip(cells, rows.rows, strict=False):
            cell[i] = "" if row[i] is None else str(row[i])
    return Table(
        caption=caption,
        columns=rows.columns,
        rows=cells,
        right=frozenset(right),
        left_out=max(0, len(rows.rows) - MAX_TABLE_ROWS),
    )


def _cell(value: Any) -> str:
    return shown(value)


def _freshness(status: dict[str, Any], now: datetime) -> Table:
    rows = []
    for row in status["streams"]:
        last = _moment(row["last_commit"])
        lag = ago((now - last).total_seconds()) + " ago" if last else ""
        rows.append([row["stream"], lag, shown(last), shown(row["landed"]), shown(row["quarantined"])])
    columns = ("stream", "last load", "at (UTC)", "rows", "quarantined")
    return Table(caption="Freshness", columns=columns, rows=rows, right=frozenset({3, 4}))


def _of(rows: Sequence[dict[str, Any]], caption: str, columns: Sequence[str]) -> Table:
    names = [c.replace("_at", " at (UTC)").replace("_code", "").replace("_", " ") for c in columns]
    right = frozenset(i for i, c in enumerate(columns) if c in _NUMERIC or c == "loads_behind")
    cells = [[shown(_moment(r[c]) or r[c]) for c in columns] for r in rows]
    return Table(caption=caption, columns=names, rows=cells, right=right)


def _moment(value: Any) -> datetime | None:
    """A time, also one that came as text from ``penstock up``."""
    if isinstance(value, str) and len(value) > 18 and value[4] == "-" and value[10] in "T ":
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _lineage_table(nodes: Sequence[Node]) -> Table:
    names = {n.id: n.name if n.kind != "raw" else f"raw.{n.name}" for n in nodes}
    rows = [[n.kind, n.where, names[n.id], ", ".join(names[r] for r in n.reads if r in names)] for n in nodes]
    return Table(caption="What is made from what", columns=("kind", "in", "name", "made from"), rows=rows)
