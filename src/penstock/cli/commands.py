"""The commands by the task they are for, and the command line that is made of all of them or of one.

A process performs one command, and importing the others would take a good part of a small load's time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from penstock import logs
from penstock.version import __version__

PANELS: Mapping[str, Mapping[str, str]] = {
    "Start": {
        "init": "starting:init",
        "generate": "starting:generate",
        "serve-sample": "sampling:serve_sample",
        "schema": "starting:schema",
    },
    "Load and model": {
        "run": "loading:run",
        "load": "loading:load",
        "transform": "loading:transform",
        "backfill": "loading:backfill",
        "copy": "copying:copy",
    },
    "Look": {
        "status": "inspecting:status",
        "runs": "runs:app",
        "explain": "explaining:explain",
        "query": "inspecting:query",
        "shell": "shell:shell",
        "ask": "reporting:ask",
        "report": "reporting:report",
    },
    "Mend": {
        "doctor": "inspecting:doctor",
        "verify": "verifying:app",
        "quarantine": "quarantine:app",
        "reset": "resetting:reset",
        "tidy": "tidying:tidy_",
    },
    "Run by itself": {
        "up": "running:up",
        "consume": "consuming:consume",
        "watch": "watching:watch",
        "check": "alerting:check",
        "notify": "alerting:notify",
        "metrics": "measuring:metrics",
    },
    "Privacy": {"grants": "privacy:grants", "erase": "privacy:erase", "rekey": "privacy:rekey"},
    "Connect": {
        "publish": "publishing:publish",
        "airflow": "airflow:app",
        "metabase": "metabase:app",
        "superset": "superset:app",
    },
}
"""The commands by the task they are for, as the help shows them, each with where it is: ``module:name`` in this folder.
What is called ``app`` there is a group of commands."""

_EPILOG = (
    "Start with: penstock init my_project --template user_events && cd my_project && penstock run\n\n"
    "Exit codes: 0 fine, 1 failed, 2 wrong call or project file, 3 contract or test failed, 4 source unreachable, "
    "5 warehouse locked, 130 and 143 stopped by Ctrl-C and SIGTERM."
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"penstock {__version__}")
        raise typer.Exit


def _root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
    log_level: Annotated[
        str | None,
        typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning or error, as PENSTOCK_LOG_LEVEL does."),
    ] = None,
    log_format: Annotated[
        str | None,
        typer.Option("--log-format", metavar="FORMAT", help="auto, text or json, as PENSTOCK_LOG_FORMAT does."),
    ] = None,
    environment: Annotated[
        str | None,
        typer.Option("--env", metavar="NAME", help="Put penstock.NAME.yml over penstock.yml, as PENSTOCK_ENV does."),
    ] = None,
) -> None:
    """Options before the command."""
    if environment is not None:
        # a variable, so that processes that are started see it too
        os.environ["PENSTOCK_ENV"] = environment
    for variable, value in ((logs.LEVEL_VARIABLE, log_level), (logs.FORMAT_VARIABLE, log_format)):
        if value is not None:
            os.environ[variable] = value


def make_app(arguments: Sequence[str] = ()) -> typer.Typer:
    """The command line: of the one command that the arguments begin with, or of all of them, whose help, completion and
    suggestions need all."""
    app = typer.Typer(
        name="penstock",
        help="Land every event, file and API record once, keep all of its history, and have it modelled seconds later.",
        epilog=_EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    only = next((name for names in PANELS.values() for name in names if [name] == [*arguments[:1]]), None)
    for panel, names in PANELS.items():
        for name, home in names.items():
            if only in (None, name):
                _add(app, panel, home)
    return app


def _add(app: typer.Typer, panel: str, home: str) -> None:
    module, _, name = home.partition(":")
    command: Any = getattr(import_module(f"penstock.cli.{module}"), name)
    if isinstance(command, typer.Typer):
        app.add_typer(command, rich_help_panel=panel)
    else:
        command.add_to(app, panel)
