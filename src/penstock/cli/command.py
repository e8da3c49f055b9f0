"""A command, and what most of them share: the options for the project and for what is printed, each declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import completion
from penstock.cli.locked import works_on
from penstock.editor import keep_schema
from penstock.logs import configure

if TYPE_CHECKING:
    from penstock.project import Project

SHARED: dict[str, Any] = {
    "project_dir": Annotated[
        Path | None,
        typer.Option("--project-dir", help="The project's folder; by default the nearest one with a penstock.yml."),
    ],
    "target": Annotated[
        str | None,
        typer.Option("--target", "-t", help="The destination to use, by its name.", autocompletion=completion.targets),
    ],
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")],
    "json": Annotated[bool, typer.Option("--json", help="Print JSON.")],
    "verbose": Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")],
}
"""The options that many commands have, by the names of what :class:`Call` holds of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a command was told by the options that it shares with others; an option that it has not is not given."""

    project_dir: Path | None = None
    target: str | None = None
    quiet: bool = False
    json: bool = False
    verbose: bool = False

    @property
    def silent(self) -> bool:
        """Whether nothing is to be printed for people but errors."""
        return self.quiet or self.json

    def open(self, *, serves: bool = False) -> Project:
        """The project the command works on. Logs are written as it says from here on.

        Args:
            serves: the command runs until it is stopped, and tells of it in its log.
        """
        from penstock.project import find_project, load_project

        log = partial(configure, serves=serves, verbose=self.verbose, quiet=self.quiet)
        log()  # the project file may be what there is to complain of
        project = load_project(find_project(self.project_dir or Path.cwd()), target=self.target)
        works_on(project)
        keep_schema(project.directory)
        log(level=project.logging.level, format=project.logging.format)
        return project


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A function as a command; ``name`` is the function's unless given."""

    perform: Callable[..., None]
    example: str
    name: str | None = None

    def add_to(self, app: typer.Typer, panel: str | None = None) -> None:
        """Make it a command of ``app``, in this ``panel`` of its help."""
        app.command(self.name, epilog=f"Example: {self.example}", rich_help_panel=panel)(self.perform)


def command(
    example: str, *options: str, name: str | None = None, project: bool = True
) -> Callable[[Callable[..., None]], Command]:
    """Make a command of a function whose first parameter is its :class:`Call`.

    Args:
        example: a whole line to type.
        options: which of ``quiet``, ``json`` and ``verbose`` it has.
        name: the command's, where it is not the function's.
        project: whether it works on a project, and has the options that name one.
    """
    names = (*(("project_dir", "target") if project else ()), *options)
    return lambda function: Command(perform=with_call(function, *names), example=example, name=name)


def with_call(function: Callable[..., None], *names: str) -> Callable[..., None]:
    """The function with these options of :data:`SHARED` after its own, in place of its parameter ``call``."""
    signature = inspect.signature(function, eval_str=True)
    own = [parameter for parameter in signature.parameters.values() if parameter.name != "call"]
    shared = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=getattr(_NO_OPTIONS, name), annotation=SHARED[name]
        )
        for name in names
    ]

    def perform(**options: Any) -> None:
        call = Call(**{name: options.pop(name) for name in names})
        function(call=call, **options)

    perform.__name__ = function.__name__
    perform.__doc__ = function.__doc__
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + shared
    perform.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    perform.__annotations__ = {p.name: p.annotation for p in parameters}
    return perform


_NO_OPTIONS = Call()
