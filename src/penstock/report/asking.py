"""Answers questions from the warehouse."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from penstock.errors import DestinationError, PenstockError, UsageError
from penstock.project.nearest import nearest
from penstock.report.models import Models, relation_of
from penstock.report.questions import Question, QuestionError

if TYPE_CHECKING:
    from penstock.ports import Rows
    from penstock.project import Project
    from penstock.transform.manifest import Resource

Query = Callable[[str], "Rows"]

_COMMENT = re.compile(r"^(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
_ABSENT = re.compile(r"(?:table|schema|relation)\b.*does not exist", re.IGNORECASE)
_REFUSED = re.compile(r"read-only (?:transaction|mode)")
_READS = ("select", "with", "from", "values", "table", "pivot", "unpivot", "(")


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """Which column is what in a chart: ``x``, the numbers ``ys``, and the splits ``by`` and ``each``."""

    x: str
    ys: Sequence[str]
    by: str | None = None
    each: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a question: ``rows``, or the ``problem`` that there was. ``reads`` are the models asked."""

    question: Question
    sql: str = ""
    reads: Sequence[Resource] = ()
    rows: Rows | None = None
    axes: Axes | None = None
    problem: PenstockError | None = None
    seconds: float = 0.0

    def records(self) -> list[dict[str, Any]]:
        """The rows as mappings."""
        return [dict(zip(self.rows.columns, r, strict=True)) for r in self.rows.rows] if self.rows else []


@contextmanager
def asking(project: Project, *, show_pii: bool = False) -> Iterator[Query]:
    """Asks the warehouse, through ``penstock up`` where that holds it, and changes nothing in it, whatever is asked.
    Personal data is masked as by ``penstock query`` unless ``show_pii``.

    Raises:
        DestinationError: there is no warehouse yet, or it is away.
    """
    from penstock.destinations import expect_warehouse, open_destination
    from penstock.privacy.masking import masked_rows
    from penstock.up.running_process import holder

    def shown(query: Query) -> Query:
        return query if show_pii else lambda sql: masked_rows(project, query(sql), sql)

    settings = project.destination
    running = holder(project)
    if running is not None:
        yield shown(partial(running.query, read_only=True))
        return
    expect_warehouse(settings)
    destination = open_destination(settings)
    try:
        yield shown(partial(destination.query, read_only=True))
    finally:
        destination.close()


def answer(question: Question, query: Query, models: Models) -> Answer:
    """Ask one question. Never raises for what is wrong with it: the answer says so."""
    if question.problem is not None:
        return Answer(question=question, problem=question.problem)
    reads: list[Resource] = []
    sql = ""
    started = time.monotonic()
    try:
        sql = render(question, models, reads)
        rows = query(sql)
        axes = choose_axes(question, rows)
    except PenstockError as e:
        return Answer(question=question, sql=sql, reads=reads, problem=_placed(e, question, reads))
    return Answer(question=question, sql=sql, reads=reads, rows=rows, axes=axes, seconds=time.monotonic() - started)


def render(question: Question, models: Models, reads: list[Resource]) -> str:
    """The SQL with ``ref`` and ``source`` resolved; what it reads is added to ``reads``.

    Raises:
        UsageError: a name is unknown, the template is wrong, or it is no statement that only reads.
    """
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def named(model: Resource) -> str:
        reads.append(model)
        return relation_of(model)

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    environment.globals = {
        "ref": lambda first, second="": named(models.ref(first, second)),
        "source": lambda source, table: named(models.source(source, table)),
    }
    try:
        sql = environment.from_string(question.sql).render()
    except TemplateError as e:
        raise UsageError(
            f"the SQL's template is wrong: {e}", fix="of dbt's functions a question may use ref and source"
        ) from None
    except TypeError as e:
        raise UsageError(f"the SQL's template is wrong: {e}", fix="write {{ ref('model') }}") from None
    begin = sql[_COMMENT.match(sql).end() :].lower()  # type: ignore[union-attr]
    if not begin.startswith(_READS):
        raise UsageError("a question reads and changes nothing", fix="begin the SQL with select or with")
    return sql


def choose_axes(question: Question, rows: Rows) -> Axes | None:
    """Which column is what: as the header says, else by position and type. None for a table and for an empty answer.

    Raises:
        UsageError: the header names a column that the answer has not, or there is no number to draw.
    """
    header = question.header
    if header.show == "table":
        return None
    for setting in ("x", "by", "each", *range(len(header.y))):
        name = header.y[setting] if isinstance(setting, int) else getattr(header, str(setting))
        if name is not None and name not in rows.columns:
            near = nearest(name, rows.columns)
            raise UsageError(
                f"`{'y' if isinstance(setting, int) else setting}` names the column {name!r}, which the answer has not",
                fix=f"did you mean {near}?" if near else f"it has {', '.join(rows.columns)}",
            )
    if not rows.rows:
        return None
    single = header.show == "big number"
    left = [c for c in rows.columns if c not in (header.by, header.each)]
    x = header.x or ("" if single else left[0] if left else "")
    ys = header.y or tuple(c for c in left if c != x and numeric(rows, c))
    if header.by or header.show in ("pie", "map by country", "pyramid"):
        ys = ys[:1]
    if not ys or not all(numeric(rows, y) for y in ys):
        raise UsageError(
            f"there is no column of numbers to show as {header.show!r}"
            if not ys
            else f"`y` names {', '.join(y for y in ys if not numeric(rows, y))}, which is no number",
            fix="select one, or write: -- show: table",
        )
    return Axes(x=x, ys=ys, by=header.by, each=header.each)


def numeric(rows: Rows, column: str) -> bool:
    """Whether a column holds numbers and nothing else."""
    at = list(rows.columns).index(column)
    values = [r[at] for r in rows.rows if r[at] is not None]
    return bool(values) and all(isinstance(v, int | float | Decimal) and not isinstance(v, bool) for v in values)


def _placed(error: PenstockError, question: Question, reads: Sequence[Resource]) -> PenstockError:
    """The error, with the question's file and what to do about it."""
    shown = f"{question.path.parent.name}/{question.path.name}"
    what = error.what.split("\n")[0] if isinstance(error, DestinationError) else error.what
    fix = error.fix
    if _REFUSED.search(what):
        what, fix = f"a question reads and changes nothing: {what}", "leave out what changes something"
    elif not fix:
        fix = f"mend the SQL; see it with: penstock ask {question.name} --sql"
        if _ABSENT.search(what) and reads:
            fix = f"penstock run, which builds {', '.join(dict.fromkeys(m.name for m in reads))}; or mend the SQL"
    kind = type(error) if isinstance(error, DestinationError) else QuestionError
    return kind(what, where=shown, fix=fix)
