"""``superset export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.command import Call, command
from penstock.cli.printing import count, end_with, print_json

app = typer.Typer(name="superset", help="Show the project in Apache Superset.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """Show the project in Apache Superset."""


@command("penstock superset export --target production --output superset.zip", "quiet", "json")
def export(
    call: Call,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; superset.zip in the project by default.")
    ] = None,
) -> None:
    """Write a ZIP with the warehouse, every question as a chart, and a dashboard, which Superset imports."""
    from penstock.bi.superset.exporting import export_superset
    from penstock.project import variables_of

    project = call.open()
    exported = export_superset(project, variables_of(project.directory), output or project.directory / "superset.zip")
    if call.json:
        problems = [{"what": p.what, "where": p.where, "fix": p.fix} for p in exported.problems]
        print_json({"path": str(exported.path), "charts": list(exported.charts), "problems": problems})
    elif not call.quiet and exported.charts:
        print(f"{exported.path}: {count(len(exported.charts), 'chart')}")
        print(f"Superset asks for the password of {exported.database}, which is not in it")
    end_with(exported.problems)


export.add_to(app)
