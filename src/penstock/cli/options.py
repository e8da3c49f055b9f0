"""Options and arguments that several commands have, but not most of them."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import completion
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.ports import Window

ShowPii = Annotated[bool, typer.Option("--show-pii", help="Show personal data instead of *****.")]
Streams = Annotated[
    list[str] | None,
    typer.Argument(help="Streams; all of them when none is named.", autocompletion=completion.streams),
]
Day = Annotated[str | None, typer.Option("--date", help="Only records of this day, by event time: 2020-12-07.")]
From = Annotated[str | None, typer.Option("--from", help="Only records from this day on.")]
To = Annotated[str | None, typer.Option("--to", help="Only records up to this day, taken in.")]
Lookback = Annotated[
    int,
    typer.Option(
        "--lookback",
        metavar="DAYS",
        min=0,
        help="Records may come so many days late: days that an API was asked for sooner are asked for again.",
    ),
]
NoFingerprint = Annotated[
    bool, typer.Option("--no-fingerprint", help="Read files again that have landed, and all of an API.")
]


def window_of(day: str | None, start: str | None, end: str | None) -> Window | None:
    """The window the options ask for."""
    from penstock.runs.plan import day_window

    named = (("--date", day), ("--from", start), ("--to", end))
    return day_window(*(None if text is None else day_of(text, option) for option, text in named))


def day_of(text: str, option: str, example: str = "2020-12-07") -> date:
    """The day that an option says.

    Raises:
        UsageError: it is none.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise UsageError(f"{option} {text!r} is no date", fix=f"write it so: {option} {example}") from None
