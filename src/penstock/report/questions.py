"""``questions/*.sql``: what people ask of the warehouse, with how to show the answer.

A file begins with a header of ``--`` lines, which hold YAML; the SQL follows::

    -- question: How many users are there at the end of each day?
    -- show: line
    select event_date, users_at_end from {{ ref('fct_user_daily') }} order by 1
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from penstock.errors import PenstockError, UsageError
from penstock.project.group import Settings
from penstock.project.nearest import nearest

FOLDER = "questions"
_NUMBER = re.compile(r"^\d+[_-]")

Show = Literal["table", "bar", "line", "area", "pie", "pyramid", "big number", "map by country"]
SHOWS: tuple[str, ...] = get_args(Show)
Column = Annotated[str, Field(min_length=1)]


class QuestionError(UsageError):
    """A file of ``questions/`` is wrong: names file and line."""


class Header(Settings):
    """The header of a question."""

    model_config = ConfigDict(coerce_numbers_to_str=False)

    question: Annotated[str, Field(min_length=1)]
    """The question in words."""
    show: Show
    """How the answer is shown: `table`, `bar`, `line`, `area`, `pie`, `pyramid`, `big number` or `map by country`."""
    about: str = ""
    """A sentence more: what is counted, and what is left out."""
    x: Column | None = None
    """The column along the axis; of a pie its parts, of a map its countries. The first column by default."""
    y: tuple[Column, ...] = ()
    """The column, or columns, of the numbers. By default every number that is not `x`, `by` or `each`."""
    by: Column | None = None
    """Splits the numbers into one line, or one colour, a value."""
    each: Column | None = None
    """Draws one small chart a value, all to one scale."""
    unit: str = ""
    """What the numbers count: `users`, `%`, `EUR`."""

    @field_validator("question", "about", "unit", mode="before")
    @classmethod
    def _one_line(cls, value: Any) -> Any:
        return " ".join(value.split()) if isinstance(value, str) else value

    @field_validator("y", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fitting(self) -> Header:
        if self.by and len(self.y) > 1:
            raise ValueError("`by` splits one column of numbers, and `y` names several: leave out one of them")
        if self.show == "pyramid" and not self.by:
            raise ValueError("a pyramid needs `by`: the column whose two values are its sides")
        alone = [n for n in ("by", "each") if getattr(self, n) and self.show in _ALONE]
        if alone:
            raise ValueError(f"`{alone[0]}` does nothing for {self.show!r}: leave it out")
        if self.each and self.show == "pie":
            raise ValueError("`each` does nothing for 'pie': leave it out")
        return self


_ALONE = ("table", "big number", "map by country")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One file: its name without ``.sql`` and number, where it is, its header and its SQL as written.

    ``problem`` is why it cannot be asked; the header is then as much as could be read of it.
    """

    name: str
    path: Path
    header: Header
    sql: str
    problem: PenstockError | None = None


def read_questions(directory: Path) -> list[Question]:
    """The questions of a project, in the order of their files' names. One that is wrong carries its problem.

    A number that the file's name begins with is for the order only: ``02_churn.sql`` is the question ``churn``.
    """
    paths = sorted((directory / FOLDER).glob("*.sql"))
    names = [_NUMBER.sub("", p.stem) for p in paths]
    return [
        _read(path, directory, name if name and names.count(name) == 1 else path.stem)
        for path, name in zip(paths, names, strict=True)
    ]


def chosen(questions: list[Question], names: list[str]) -> list[Question]:
    """Those with these names, in this order; all when no name is given.

    Raises:
        UsageError: there is no question of a name.
    """
    known = {q.name: q for q in questions}
    for name in names:
        if name.removesuffix(".sql") not in known:
            near = nearest(name, known)
            raise UsageError(
                f"there is no question {name!r}",
                where=FOLDER,
                fix=f"did you mean {near}?"
                if near
                else f"write {FOLDER}/{name}.sql, or name one of: {', '.join(known)}",
            )
    return [known[n.removesuffix(".sql")] for n in names] if names else questions


def _read(path: Path, directory: Path, name: str) -> Question:
    shown = path.relative_to(directory).as_posix()
    words = Header(question=name.replace("_", " "), show="table")
    sql = ""
    try:
        lines = _lines(path, shown)
        length = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
        sql = "\n".join(lines[length:]).strip().rstrip(";").rstrip()
        header = _header(lines[:length], shown)
        words = header
        if not sql:
            raise QuestionError(
                "the header is not followed by SQL", where=f"{shown}:{max(length, 1)}", fix="write a select below it"
            )
        return Question(name=name, path=path, header=header, sql=sql)
    except QuestionError as e:
        return Question(name=name, path=path, header=words, sql=sql, problem=e)


def _lines(path: Path, shown: str) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise QuestionError(f"cannot be read: {e}", where=shown, fix="save it as UTF-8") from None


def _header(lines: list[str], shown: str) -> Header:
    if not lines:
        raise QuestionError(
            "there is no header", where=f"{shown}:1", fix="begin with the lines: -- question: …  and  -- show: bar"
        )
    text = "\n".join(re.sub(r"^-- ?", "", line) for line in lines)
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        raise QuestionError(
            f"the header is no YAML: {getattr(e, 'problem', None) or e}",
            where=f"{shown}:{mark.line + 1 if mark else 1}",
            fix='put a text with a colon or a quotation mark into quotes: -- question: "Who: and when?"',
        ) from None
    if not isinstance(data, dict):
        raise QuestionError(
            "the header has no settings",
            where=f"{shown}:1",
            fix="begin with the lines: -- question: …  and  -- show: bar",
        )
    try:
        return Header.model_validate(data)
    except ValidationError as e:
        raise _problem(e, data, lines, shown) from None


def _problem(error: ValidationError, data: dict[Any, Any], lines: list[str], shown: str) -> QuestionError:
    detail = error.errors(include_url=False, include_input=False)[0]
    name = str(detail["loc"][0]) if detail["loc"] else ""
    value = data.get(name)
    line = next((i for i, text in enumerate(lines, 1) if re.match(rf"--\s*{re.escape(name)}\s*:", text)), 1)
    what, fix = f"`{name}`: {detail['msg']}", ""
    match detail["type"]:
        case "missing":
            what = f"`{name}` is missing"
            fix = "add the line: -- " + ("question: How many …?" if name == "question" else f"show: {'|'.join(SHOWS)}")
        case "extra_forbidden":
            near = nearest(name, Header.model_fields)
            what = f"`{name}` is no setting of a question"
            fix = f"did you mean `{near}`?" if near else f"there are {', '.join(Header.model_fields)}"
        case "literal_error":
            near = nearest(str(value), SHOWS)
            what = f"`show` is {value!r}"
            fix = f"did you mean {near}?" if near else f"it is one of {', '.join(SHOWS)}"
        case "value_error":
            what, fix = str(detail["ctx"]["error"]), "see docs/questions.md"
        case _:
            fix = f"write a text: -- {name}: …"
    return QuestionError(what, where=f"{shown}:{line}", fix=fix)
