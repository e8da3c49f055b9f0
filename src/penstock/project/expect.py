"""The settings of expectations. Names, types and docstrings here are the reference that users read."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from penstock.project.group import Settings
from penstock.project.nearest import nearest
from penstock.project.schedule import Span
from penstock.spans import span_text

PERIODS = ("hour", "day", "week")
KINDS = ("fresh_within", "checked_within", "event_time_within", "rows", "quarantined")
_EXAMPLES = "`fresh within 10m`, `rows >= 1000 per day` or `quarantined <= 1% in 1d`"
_NUMBER = r"\d[\d_]*"
_AGE = re.compile(r"(fresh|checked|event_time) within (.+)")
_ROWS = re.compile(
    rf"rows (?:(?P<sign>>=|<=) ?(?P<limit>{_NUMBER})|between (?P<low>{_NUMBER}) and (?P<high>{_NUMBER}))"
    r" (?:per (?P<per>\w+)|(?:in|within) (?P<within>.+))"
)
_QUARANTINED = re.compile(r"quarantined <= ?(?P<limit>[\d_.]+ ?%?)(?: (?:in|within) (?P<within>.+))?")
_OTHER_SIGN = re.compile(r"(?P<rows>rows (?:[<>](?!=)|=))|quarantined (?:<(?!=)|[>=])")
_WARN = " or warn"


def _limit(text: str) -> str:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?%|\d+", text.strip().replace("_", ""))
    if match is None or (match[1] is not None and float(match[1]) > 100):
        raise ValueError(f"expected a share such as 1%, or a number of records, not {text!r}")
    return match[0].replace(" ", "")


class RowCount(Settings):
    """How many rows a stream is to land in a time, by when they landed."""

    at_least: Annotated[int, Field(ge=0)] | None = None
    """At least so many,"""
    at_most: Annotated[int, Field(ge=0)] | None = None
    """and at most so many,"""
    per: Literal["hour", "day", "week"] | None = None
    """in the last whole hour, day or week (from Monday) of UTC,"""
    within: Span | None = None
    """or instead in the time up to now, such as `1d`."""

    @model_validator(mode="after")
    def _whole(self) -> RowCount:
        if self.at_least is None and self.at_most is None:
            raise ValueError("expected at_least: or at_most:, or both")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("at_least: is more than at_most:")
        if (self.per is None) == (self.within is None):
            raise ValueError("expected per: or within:, one of them")
        _some(self.within, "within:")
        return self

    @property
    def words(self) -> str:
        """As it is written in a line."""
        if self.at_least is not None and self.at_most is not None:
            limits = f"between {self.at_least} and {self.at_most}"
        else:
            limits = f">= {self.at_least}" if self.at_most is None else f"<= {self.at_most}"
        return f"rows {limits} {f'per {self.per}' if self.within is None else f'in {span_text(self.within)}'}"


class Quarantined(Settings):
    """How much of what was read may wait in quarantine. What is replayed or dropped counts no longer."""

    at_most: Annotated[
        str,
        AfterValidator(_limit),
        WithJsonSchema(
            {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\s*[\d_.]+\s*%?\s*$"}]}
        ),
    ]
    """A share of the records read, such as `1%`, or a number of records."""
    within: Span = timedelta(days=1)
    """Of those that were read in the time up to now."""

    @model_validator(mode="after")
    def _some_time(self) -> Quarantined:
        _some(self.within, "within:")
        return self

    @property
    def share(self) -> float | None:
        """The share, from 0 to 1; None when it is a number."""
        return float(self.at_most[:-1]) / 100 if self.at_most.endswith("%") else None

    @property
    def words(self) -> str:
        """As it is written in a line."""
        return f"quarantined <= {self.at_most} in {span_text(self.within)}"


class Expectation(Settings):
    """What is expected of a stream. `penstock check` fails when it is not so.

    A line of text stands for it: `fresh within 10m`, `checked within 1h`, `event_time within 2h`,
    `rows >= 1000 per day`, `rows between 100 and 5000 in 1h`, `quarantined <= 1% in 1d`; with ` or warn` at its end for
    `severity: warn`.
    """

    fresh_within: Span | None = None
    """The last load that brought something new is no older than this."""
    checked_within: Span | None = None
    """The source was last asked with success no longer ago than this, whether it had something new or not."""
    event_time_within: Span | None = None
    """The latest record happened no longer ago than this, by the stream's `event_time`."""
    rows: RowCount | None = None
    """How many rows land in a time."""
    quarantined: Quarantined | None = None
    """How much may wait in quarantine."""
    severity: Literal["error", "warn"] = "error"
    """`warn` is shown, and neither fails `penstock check` nor is told to anyone."""

    @model_validator(mode="after")
    def _one(self) -> Expectation:
        kinds = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(f"expected one of {', '.join(KINDS)}")
        _some(self.age, f"{self.kind}:")
        return self

    @property
    def kind(self) -> str:
        """Which of the five it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def age(self) -> timedelta | None:
        """How old something may be; None when it is about numbers."""
        ages = (self.fresh_within, self.checked_within, self.event_time_within)
        return next((age for age in ages if age is not None), None)

    @property
    def words(self) -> str:
        """As it is written in a line, without the severity."""
        if self.age is not None:
            return f"{self.kind.removesuffix('_within')} within {span_text(self.age)}"
        numbers = self.rows or self.quarantined
        assert numbers is not None
        return numbers.words


def _some(span: timedelta | None, what: str) -> None:
    if span is not None and span < timedelta(seconds=1):
        raise ValueError(f"{what} is less than a second")


def expectation_of(value: Any) -> Any:
    """The settings that a line of text stands for.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str):
        return value
    text = " ".join(value.split()).lower()
    severity = {"severity": "warn"} if text.endswith(_WARN) else {}
    text = text.removesuffix(_WARN)
    if match := _AGE.fullmatch(text):
        return {f"{match[1]}_within": match[2], **severity}
    if match := _ROWS.fullmatch(text):
        low, high = match["low"], match["high"]
        if match["sign"]:
            low, high = (match["limit"], None) if match["sign"] == ">=" else (None, match["limit"])
        if match["per"] is not None and match["per"] not in PERIODS:
            raise ValueError(f"{value!r}: expected per {', per '.join(PERIODS)}, or in 12h")
        rows = {"at_least": low, "at_most": high, "per": match["per"], "within": match["within"]}
        return {"rows": {k: v for k, v in rows.items() if v is not None}, **severity}
    if match := _QUARANTINED.fullmatch(text):
        within = {} if match["within"] is None else {"within": match["within"]}
        return {"quarantined": {"at_most": match["limit"], **within}, **severity}
    if match := _OTHER_SIGN.match(text):
        name, signs = ("rows", ">= or <=") if match["rows"] else ("quarantined", "<=")
        raise ValueError(f"{value!r} is no expectation: {name} takes {signs}; write {_EXAMPLES}")
    words = ("fresh", "checked", "event_time", "rows", "quarantined")
    first = text.partition(" ")[0]
    near = None if first in words else nearest(first, words)
    raise ValueError(
        f"{value!r} is no expectation; " + (f"did you mean {near}? " if near else "") + f"write {_EXAMPLES}"
    )


def expectations_of(value: Any) -> Any:
    """One expectation, or a group of several, as the list that it stands for."""
    if isinstance(value, dict):
        rest = {k: v for k, v in value.items() if k not in KINDS}
        kinds = [k for k in KINDS if k in value]
        return [{k: value[k], **rest} for k in kinds] if len(kinds) > 1 else [value]
    return [value] if isinstance(value, str) else value


EXPECTATION_LINE = r"^\s*(fresh|checked|event_time|rows|quarantined)\s.+$"
ExpectationItem = Annotated[Expectation, BeforeValidator(expectation_of)]
Expectations = Annotated[tuple[ExpectationItem, ...], BeforeValidator(expectations_of)]
