"""The commands, gathered."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from penstock import logs
from penstock.cli import (
    airflow,
    alerting,
    consuming,
    explaining,
    inspecting,
    loading,
    measuring,
    metabase,
    privacy,
    publishing,
    quarantine,
    reporting,
    resetting,
    running,
    runs,
    sampling,
    shell,
    starting,
    superset,
    verifying,
    watching,
)
from penstock.cli.command import Command
from penstock.version import __version__

app = typer.Typer(
    name="penstock",
    help="Land every event, file and API record once, keep all of its history, and have it modelled seconds later.",
    epilog=(
        "Start with: penstock init my_project --template user_events && cd my_project && penstock run\n\n"
        "Exit codes: 0 fine, 1 failed, 2 wrong call or project file, 3 contract or test failed, 4 source unreachable, "
        "5 warehouse locked, 130 and 143 stopped by Ctrl-C and SIGTERM."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"penstock {__version__}")
        raise typer.Exit


@app.callback()
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


PANELS: dict[str, tuple[Command | typer.Typer, ...]] = {
    "Start": (starting.init, starting.generate, sampling.serve_sample, starting.schema),
    "Load and model": (loading.run, loading.load, loading.transform, loading.backfill),
    "Look": (
        inspecting.status,
        runs.app,
        explaining.explain,
        inspecting.query,
        shell.shell,
        reporting.ask,
        reporting.report,
    ),
    "Mend": (inspecting.doctor, verifying.app, quarantine.app, resetting.reset),
    "Run by itself": (
        running.up,
        consuming.consume,
        watching.watch,
        alerting.check,
        alerting.notify,
        measuring.metrics,
    ),
    "Privacy": (privacy.grants, privacy.erase, privacy.rekey),
    "Connect": (publishing.publish, airflow.app, metabase.app, superset.app),
}
"""The commands by the task they are for, as the help shows them; a group of commands has its name."""

for panel, commands in PANELS.items():
    for each in commands:
        if isinstance(each, Command):
            each.add_to(app, panel)
        else:
            app.add_typer(each, rich_help_panel=panel)
