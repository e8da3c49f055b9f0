"""``runs list|show``, and ``run --now`` through a process that is up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.command import Call, command, with_call
from penstock.cli.printing import count, moment, print_json, print_table, zone_line
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.ledger.run_records import Query
    from penstock.project import Project

app = typer.Typer(name="runs", help="What ran, when, and with which outcome.", invoke_without_command=True)

Last = Annotated[int, typer.Option("--last", "-n", min=1, max=100_000, help="At most so many, the newest first.")]
Failed = Annotated[bool, typer.Option("--failed", help="Only those that failed, or were cut off.")]
_LAST = 20
_QUIET = ("pass", "no-op")


def _runs(
    call: Call,
    context: typer.Context,
    last: Last = _LAST,
    failed: Failed = False,
) -> None:
    """What ran, when, and with which outcome. Alone, it lists the last runs."""
    if context.invoked_subcommand is None:
        _list(call, last, failed)


app.callback()(with_call(_runs, "project_dir", "target", "json"))


@command("penstock runs list --last 5", "json", name="list")
def list_(
    call: Call,
    last: Last = _LAST,
    failed: Failed = False,
) -> None:
    """List the last runs: loads, transforms, and what was scheduled."""
    _list(call, last, failed)


def _list(call: Call, last: int, failed: bool) -> None:
    from penstock.ledger.run_records import read_runs

    with asked(call.open()) as query:
        listed = [] if query is None else read_runs(query, last, failed=failed)
    if call.json:
        print_json(listed)
    elif not listed:
        print("no run has failed" if failed else "nothing has run yet; start with: penstock run")
    else:
        columns = ("run", "kind", "what", "status", "started", "seconds", "steps", "landed", "failed")
        print_table(columns, [_line(run) for run in listed], spare=("steps", "failed", "landed", "what"))
        if zone := zone_line():
            print(zone)


@command("penstock runs show 42", "json")
def show(
    call: Call,
    run: Annotated[
        int | None,
        typer.Argument(help="The run, by its number in penstock runs; by default the last.", metavar="[RUN]"),
    ] = None,
) -> None:
    """Show a run with its steps: times, rows, errors and what mends them."""
    from penstock.ledger.run_records import read_run, read_runs

    with asked(call.open()) as query:
        if run is None and query is not None:
            run = next((r["run_id"] for r in read_runs(query, 1)), None)
        shown = None if query is None or run is None else read_run(query, run)
    if shown is None:
        if run is None:
            raise UsageError("nothing has run yet", fix="penstock run")
        raise UsageError(f"there is no run {run}", fix="penstock runs lists them; those of a month ago are forgotten")
    if call.json:
        print_json(shown)
    else:
        print_run(shown)


def print_run(run: dict[str, Any]) -> None:
    """A run and its steps."""
    started, ended = moment(run["started_at"]), moment(run["ended_at"])
    what = _what(run)
    print(f"run {run['run_id']}: {run['kind']}{f' ({what})' if what else ''}, {run['status']}")
    zone = zone_line()
    print(f"  started {started}" + (f", ended {ended}" if ended else "") + (f" ({zone})" if zone else ""))
    if airflow := run["detail"].get("airflow"):
        names = (f"{key} {airflow[key]}" for key in ("dag", "run", "task", "try") if key in airflow)
        print(f"  in Airflow: {', '.join(names)}")
    # what went well without doing anything is counted
    steps = [s for s in run["steps"] if s["status"] not in _QUIET]
    passed = sum(s["status"] == "pass" for s in run["steps"])
    tried = any(step["attempt"] > 1 for step in steps)
    counts = ("read", "landed", "duplicates", "quarantined")
    rows = [
        [
            step["step"],
            *([step["attempt"]] if tried else []),
            step["kind"],
            step["name"] if step["source"] is None else f"{step['name']} from {step['source']}",
            step["status"],
            round(step["seconds"], 2),
            *(step[name] for name in counts),
            step["rows"],
        ]
        for step in steps
    ]
    attempt = ["attempt"] if tried else []
    if rows:
        columns = ["step", *attempt, "kind", "name", "status", "seconds", *counts, "rows"]
        print_table(columns, rows, spare=("seconds", "step", "kind", "read"))
    if passed:
        print(f"{count(passed, 'test')} passed")
    for step in steps:
        if step["error"]:
            print(f"\nstep {step['step']}, {step['name']}: {step['error']}")
            if step["fix"]:
                print(f"  fix: {step['fix']}")


def run_in_process(call: Call, project: Project, streams: Sequence[str]) -> bool:
    """Have the process that is up run these streams now; False when none is up.

    Raises:
        typer.Exit: with 1, a run failed.
    """
    from penstock.up.running_process import running_process

    running = running_process(project)
    if running is None:
        return False
    runs = running.run(streams)
    if call.json:
        print_json(runs)
    elif not call.quiet:
        for run in runs:
            print_run(run)
    if any(run["status"] != "success" for run in runs):
        raise typer.Exit(1)
    return True


@contextmanager
def asked(project: Project) -> Iterator[Query | None]:
    """The warehouse, or the process that holds it; None when there is no ledger yet."""
    from penstock.doctor.status import existing_destination
    from penstock.up.running_process import holder

    running = holder(project)
    if running is not None:
        yield running.query
        return
    destination = existing_destination(project)
    try:
        yield destination.query if destination else None
    finally:
        if destination:
            destination.close()


def _line(run: dict[str, Any]) -> list[Any]:
    started, ended = run["started_at"], run["ended_at"]
    return [
        run["run_id"],
        run["kind"],
        _what(run),
        run["status"],
        moment(started),
        round((ended - started).total_seconds(), 1) if ended else None,
        run["steps"],
        run["landed"],
        run["failed"],
    ]


def _what(run: dict[str, Any]) -> str:
    """Which schedule it was, and whether it was asked for; or which task of Airflow's; or which layer."""
    detail = run["detail"]
    name = detail.get("schedule", "")
    if airflow := detail.get("airflow"):
        return f"{airflow['dag']}.{airflow.get('task', '')}"
    return f"{name}, asked for" if name and detail.get("manual") else name or detail.get("layer", "")


for each in (list_, show):
    each.add_to(app)
