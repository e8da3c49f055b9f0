"""``status``, ``query``, ``doctor``: they look and change nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.alerting import expectation_row
from penstock.cli.command import Call, command
from penstock.cli.options import ShowPii
from penstock.cli.printing import print_csv, print_json, print_table, watch_screen, with_moments, zone_line
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.project import Project

_SPARE = {
    "alerts": ("told_at", "not_delivered"),
    "parts": ("restarts", "since"),
    "schedules": ("spec", "last_ended"),
    "streams": ("last_seq", "loads", "read"),
    "loads": ("bytes", "started_at", "load_id", "seq", "source"),
    "quarantine": ("dropped", "replayed"),
    "models": ("seq", "updated_at"),
    "runs": ("upper_seq", "started_at"),
}
"""What a narrow terminal goes without, the first one first."""


@command("penstock status --json", "json")
def status(
    call: Call,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it anew every two seconds, until Ctrl-C.")] = False,
) -> None:
    """Show the ledger: what fails, streams, last loads, lag, quarantine, models' watermarks, runs and schedules."""
    if watch and (call.json or not sys.stdout.isatty()):
        raise UsageError("--watch is for a terminal", fix="penstock status --json, as often as it is wanted")
    project = call.open()
    if watch:
        with suppress(KeyboardInterrupt):
            watch_screen(lambda: _print_status(project))
    else:
        _print_status(project, json=call.json)


def _print_status(project: Project, *, json: bool = False) -> None:
    from penstock.doctor.status import read_status
    from penstock.up.running_process import running_process

    running = running_process(project)
    state = read_status(project) if running is None else running.status()
    if json:
        print_json(state)
        return
    print(f"project {project.name}, destination {project.target} ({project.destination.type})")
    if zone := zone_line():
        print(zone)
    if running is not None:
        print(f"up: process {running.pid}, {running.url}")
        if state.get("note"):
            print(f"  {state['note']}")
    if not state["streams"] and not state.get("damage"):
        print("nothing has landed yet; start with: penstock run")
    for title, key in (
        ("the ledger does not fit the raw tables", "damage"),
        ("alerts", "alerts"),
        ("parts", "parts"),
        ("schedules", "schedules"),
        ("hosts of HTTP sources", "hosts"),
        ("expectations", "expectations"),
        ("streams", "streams"),
        ("last loads", "loads"),
        ("quarantine", "quarantine"),
        ("models", "models"),
        ("last runs", "runs"),
    ):
        rows: list[dict[str, Any]] = [with_moments(row) for row in state.get(key, [])]
        if key == "expectations":  # penstock check has the fixes
            rows = [expectation_row(row) for row in rows]
        if rows:
            print_table(list(rows[0]), [list(r.values()) for r in rows], title, spare=_SPARE.get(key, ()))
            print()
    if state["streams"] and not state["quarantine"]:
        print("quarantine: empty")
    for text in state.get("warnings", ()):
        print(f"warning: {text}")


@command('penstock query "select * from reports.events_by_date order by 1"', "json")
def query(
    call: Call,
    sql: Annotated[str, typer.Argument(help="One SQL statement; - reads it from standard input.")],
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    show_pii: ShowPii = False,
) -> None:
    """Run SQL on the destination and print the rows."""
    from penstock import api
    from penstock.destinations import expect_warehouse

    if csv and call.json:
        raise UsageError("--csv and --json exclude each other", fix="give one of them")
    project = call.open()
    expect_warehouse(project.destination)
    statement = sys.stdin.read() if sql == "-" else sql
    if not statement.strip(" ;\t\r\n"):
        raise UsageError("there is no statement to ask", fix='penstock query "select * from penstock.loads"')
    rows = api.query(project, statement, show_pii=show_pii, read_only=False)
    if call.json:
        names = _distinct(rows.columns)
        print_json([dict(zip(names, row, strict=True)) for row in rows.rows])
    elif csv:
        print_csv(rows.columns, rows.rows)
    else:
        print_table(rows.columns, rows.rows)


def _distinct(columns: Sequence[str]) -> list[str]:
    """Column names for an object's keys: ``count``, ``count_2``."""
    names: list[str] = []
    for column in columns:
        same = sum(c == column for c in columns[: len(names)])
        names.append(f"{column}_{same + 1}" if same else column)
    return names


@command("penstock doctor --target production", "json")
def doctor(call: Call) -> None:
    """Check versions, project, sources, destination and dbt, and say how to mend what is wrong."""
    from penstock.doctor.examine import examine
    from penstock.up.running_process import holder

    checks = examine(call.project_dir, call.target, holder)
    if call.json:
        print_json([{"check": c.name, "ok": c.ok, "warns": c.warns, "found": c.detail, "fix": c.fix} for c in checks])
    else:
        for check in checks:
            print(f"{'FAIL' if not check.ok else 'warn' if check.warns else 'ok  '}  {check.name}: {check.detail}")
            if not check.ok and check.fix:
                print(f"      fix: {check.fix}")
    bad = [c for c in checks if not c.ok]
    if bad:
        raise typer.Exit(next((c.exit_code for c in bad if c.exit_code != 1), 1))
