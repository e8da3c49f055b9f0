"""``reset``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.command import Call, command
from penstock.cli.printing import count, print_json
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.runs.reset import Reset


@command("penstock reset user_events", "quiet", "json")
def reset(
    call: Call,
    stream: Annotated[str, typer.Argument(help="The stream to start anew.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    keep_rows: Annotated[
        bool,
        typer.Option("--keep-rows", help="Delete nothing: enter into the ledger the loads that it has lost."),
    ] = False,
) -> None:
    """Delete what has landed of a stream, and have its sources read from their beginning by the next load."""
    from penstock.land.session import Session
    from penstock.runs.reset import enter_lost, look
    from penstock.runs.reset import reset as perform
    from penstock.up.running_process import running_process

    project = call.open()
    running = running_process(project)
    if running is not None:
        raise UsageError(
            "penstock up is at work on this project, and would land into the stream meanwhile",
            where=f"process {running.pid}",
            fix=f"stop it with Ctrl-C or SIGTERM, reset, and start it again: kill {running.pid}",
        )
    settings = project.destination
    if not settings.may_exist:
        raise UsageError("nothing has landed yet", where=settings.address, fix="penstock run")
    if keep_rows:
        with Session(project) as session:
            entered = enter_lost(session, stream)
        if call.json:
            print_json({"stream": stream, "entered": entered})
        elif not call.quiet:
            print(f"{stream}: {count(entered, 'load')} entered into the ledger again\nnext: penstock run")
        return
    if not yes and not sys.stdin.isatty():
        raise UsageError("what is deleted cannot be had back", fix="give --yes when you are sure")
    with Session(project) as session:
        if not yes:
            print("\n".join(_lines(look(session, stream), project.target)), file=sys.stderr)
            typer.confirm(f"Reset {stream}?", abort=True, err=True)
        done = perform(session, stream)
    if call.json:
        print_json(done.as_dict())
    elif not call.quiet:
        print("\n".join(_lines(done, project.target, done=True)))
        print(f"next: penstock {'up' if done.queues else 'run'}")


def _lines(deleted: Reset, target: str, *, done: bool = False) -> list[str]:
    """What a reset deletes, keeps and leads to."""
    lines = [
        f"{deleted.stream}, in {target}: {'was' if done else 'will be'} deleted",
        f"  raw.{deleted.stream}: {count(deleted.rows, 'row')}, {count(deleted.columns, 'column')}",
        f"  positions: {deleted.positions:,}; its sources are read from their beginning",
        f"  quarantine: {count(deleted.quarantined, 'entry', 'entries')}",
    ]
    if deleted.views:
        lines.append(f"  views of models, until they are built again: {', '.join(deleted.views)}")
    if deleted.models:
        lines.append(f"built anew, once it has landed again: {', '.join(deleted.models)}")
    if deleted.snapshots:
        lines.append(f"kept as they are, as nothing can build them anew: snapshots {', '.join(deleted.snapshots)}")
    if deleted.queues:
        lines.append(f"not to be had again: what came by queue and was acknowledged ({', '.join(deleted.queues)})")
    if deleted.lake:
        lines.append(f"kept: the lake's files, which penstock load {deleted.stream} --from-lake DIR reads")
    lines.append("kept: the list of its loads and runs; who was erased stays erased")
    return lines
