"""``superset export``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.options import Json, ProjectDir, Quiet, TargetName, open_project
from penstock.cli.printing import count, print_json

app = typer.Typer(help="Show the project in Apache Superset.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """Show the project in Apache Superset."""


@app.command(epilog="Example: penstock superset export --target production --output superset.zip")
def export(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; superset.zip in the project by default.")
    ] = None,
    project_dir: ProjectDir = None,
    target: TargetName = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a ZIP with the warehouse, every question as a chart, and a dashboard, which Superset imports."""
    from penstock.bi.superset.exporting import export_superset
    from penstock.project import variables_of

    project = open_project(project_dir, target)
    exported = export_superset(project, variables_of(project.directory), output or project.directory / "superset.zip")
    if json:
        problems = [{"what": p.what, "where": p.where, "fix": p.fix} for p in exported.problems]
        print_json({"path": str(exported.path), "charts": list(exported.charts), "problems": problems})
    elif not quiet and exported.charts:
        print(f"{exported.path}: {count(len(exported.charts), 'chart')}")
        print(f"Superset asks for the password of {exported.database}, which is not in it")
    sys.stdout.flush()
    for problem in exported.problems:
        print(f"error: {problem}", file=sys.stderr)
    if exported.problems:
        raise typer.Exit(exported.problems[0].exit_code)
