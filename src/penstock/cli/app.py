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
    metabase,
    metrics,
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
    watching,
)
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
    for variable, said in ((logs.LEVEL_VARIABLE, log_level), (logs.FORMAT_VARIABLE, log_format)):
        if said is not None:
            os.environ[variable] = said


starting.register(app)
loading.register(app)
publishing.register(app)
privacy.register(app)
resetting.register(app)
consuming.register(app)
watching.register(app)
running.register(app)
explaining.register(app)
inspecting.register(app)
alerting.register(app)
metrics.register(app)
reporting.register(app)
shell.register(app)
sampling.register(app)
app.add_typer(runs.app, name="runs")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(airflow.app, name="airflow")
app.add_typer(metabase.app, name="metabase")
app.add_typer(superset.app, name="superset")
