"""Options that several commands share."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import completion
from penstock.cli.locked import works_on
from penstock.errors import UsageError
from penstock.logs import configure

if TYPE_CHECKING:
    from penstock.ports import Window
    from penstock.project import Project

ProjectDir = Annotated[
    Path | None,
    typer.Option("--project-dir", help="The project's folder; by default the nearest one with a penstock.yml."),
]
TargetName = Annotated[
    str | None,
    typer.Option("--target", "-t", help="The destination to use, by its name.", autocompletion=completion.targets),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
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


Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")]


def open_project(
    directory: Path | None,
    target: str | None,
    *,
    serves: bool = False,
    verbose: bool = False,
    quiet: bool = False,
) -> Project:
    """The project a command works on. Logs are written as it says from here on.

    Args:
        serves: the command runs until it is stopped, and tells of it in its log.
        verbose, quiet: log more than by default, and less.
    """
    from penstock.project import find_project, load_project

    configure(serves=serves, verbose=verbose, quiet=quiet)  # the project file may be what there is to complain of
    project = load_project(find_project(directory or Path.cwd()), target=target)
    works_on(project)
    said = project.logging
    configure(serves=serves, level=said.level, format=said.format, verbose=verbose, quiet=quiet)
    return project


def window_of(day: str | None, start: str | None, end: str | None) -> Window | None:
    """The window the options ask for."""
    from penstock.runs.plan import day_window

    return day_window(_day("--date", day), _day("--from", start), _day("--to", end))


def _day(option: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise UsageError(f"{option} {text!r} is no date", fix=f"write it so: {option} 2020-12-07") from None
