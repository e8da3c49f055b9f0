"""``copy``."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import completion
from penstock.cli.bars import doing
from penstock.cli.command import Call, command
from penstock.cli.printing import count, print_json
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.copying.perform import Copied, CopiedTable
    from penstock.project import Project


@command("penstock copy --to production", "quiet", "json")
def copy(
    call: Call,
    to: Annotated[
        str,
        typer.Option("--to", metavar="TARGET", help="The destination to fill.", autocompletion=completion.targets),
    ],
    models: Annotated[bool, typer.Option("--models", help="Have dbt build the models there, last.")] = False,
) -> None:
    """Copy raw tables, ledger and quarantine to another destination, verify it, and go on there. Again goes on."""
    from penstock.copying.perform import copy as perform

    target = replace(call, target=to).open()
    source = call.open()
    if models and not target.has_models:
        raise UsageError("the project has no dbt models", where=str(target.directory), fix="leave out --models")
    for project in (source, target):
        _expect_down(project)
    with doing("copy", quiet=call.silent) as progress:
        copied = perform(source, target, progress)
    if call.json and not models:
        print_json(copied.as_dict())
    elif not call.silent:
        print("\n".join(_lines(copied)))
    if models:
        from penstock.cli.performing import perform_plan
        from penstock.runs.plan import RunPlan

        perform_plan(
            call, target, lambda: RunPlan(kind="transform", models=True), kind="transform", subjects=(), notify=False
        )
    elif not call.silent:
        print(f"next: penstock run --target {shlex.quote(to)}")


def _expect_down(project: Project) -> None:
    from penstock.up.running_process import running_process

    running = running_process(project)
    if running is not None:
        raise UsageError(
            f"penstock up is at work on {project.target}, and would land into it meanwhile",
            where=f"process {running.pid}",
            fix=f"stop it with Ctrl-C or SIGTERM, copy, and start it again: kill {running.pid}",
        )


def _lines(copied: Copied) -> list[str]:
    """What is there now, table by table."""
    again = "; it was copied before, and is compared once more" if copied.again else ""
    lines = [f"from {copied.source} to {copied.target}{again}"]
    lines += [_line(table) for table in (*copied.raw, *copied.ledger)]
    lines += [f"left: {what}" for what in copied.left]
    lines.append("models are not copied: they are built from the rows")
    return lines


def _line(table: CopiedTable) -> str:
    return f"{table.table}: {count(table.rows, 'row')}, the same on both sides (hash {table.hash[:12]})"
