"""``airflow export``."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.command import Call, command
from penstock.cli.options import day_of

app = typer.Typer(name="airflow", help="Run the project under Apache Airflow.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """Run the project under Apache Airflow."""


@command("penstock airflow export --schedule '0 6 * * *' --timezone Europe/Oslo", "quiet")
def export(
    call: Call,
    dags: Annotated[
        Path | None, typer.Option("--dags", help="Write into this folder; by default dags in the project.")
    ] = None,
    schedule: Annotated[
        str,
        typer.Option(
            "--schedule",
            help="A cron expression, a preset, or every 5m, for all streams; none for runs started by hand;"
            " project for what penstock.yml says, which is @daily if it says nothing.",
        ),
    ] = "project",
    timezone: Annotated[
        str | None,
        typer.Option("--timezone", help="The cron expression's; by default the project's, or UTC."),
    ] = None,
    start_date: Annotated[
        str, typer.Option("--start-date", help="Where the first data interval begins.")
    ] = "2020-01-01",
    catchup: Annotated[
        bool, typer.Option("--catchup", help="Make up for the intervals since then that had no run.")
    ] = False,
    retries: Annotated[
        int | None, typer.Option("--retries", min=0, help="How often a failed task is tried again; 3 times by default.")
    ] = None,
    retry_delay: Annotated[
        float | None, typer.Option("--retry-delay", min=0, help="So many seconds later each time; 180 by default.")
    ] = None,
    lookback_days: Annotated[
        int | None,
        typer.Option(
            "--lookback-days",
            min=0,
            help="Load so many days before the data interval too, for records that come late; by default as the project"
            " says.",
        ),
    ] = None,
    penstock: Annotated[
        str, typer.Option("--penstock", help="The command as the tasks find it: /opt/penstock/bin/penstock.")
    ] = "penstock",
    project_path: Annotated[
        str | None, typer.Option("--project-path", help="The project's folder as the tasks find it.")
    ] = None,
    one_transform: Annotated[
        bool, typer.Option("--one-transform", help="One dbt process for all layers of models.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are not ours.")] = False,
) -> None:
    """Write DAG files that need nothing of Penstock in Airflow's environment."""
    from penstock.airflow.dag_files import FOLDER, Export, write_dags
    from penstock.project import find_project

    directory = find_project(call.project_dir or Path.cwd())
    wanted = Export(
        schedule=None if schedule.lower() == "none" else schedule,
        timezone=timezone,
        start_date=_start(start_date),
        catchup=catchup,
        retries=retries,
        retry_delay=None if retry_delay is None else timedelta(seconds=retry_delay),
        lookback_days=lookback_days,
        target=call.target,
        penstock=penstock,
        layers=not one_transform,
        project_path=project_path,
    )
    written = write_dags(directory, dags or directory / FOLDER, wanted, force=force)
    if not call.quiet:
        for path in written:
            print(path)


def _start(text: str) -> date:
    """A day, or a moment with its zone."""
    return datetime.fromisoformat(text) if "T" in text else day_of(text, "--start-date", "2025-01-01")


export.add_to(app)
