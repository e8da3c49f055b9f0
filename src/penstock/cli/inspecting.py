"""``explain``, ``status``, ``query``, ``doctor``: they look and change nothing."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.alerting import expectation_row
from penstock.cli.options import (
    Day,
    From,
    Json,
    Lookback,
    NoFingerprint,
    ProjectDir,
    ShowPii,
    Streams,
    TargetName,
    To,
    open_project,
    window_of,
)
from penstock.cli.printing import count, print_csv, print_json, print_table, watch_screen, with_moments, zone_line
from penstock.errors import UsageError
from penstock.transform.manifest import TESTS

if TYPE_CHECKING:
    from penstock.project import Project
    from penstock.transform.plan import TransformPlan

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


_VERBS = {"read": "read", "resume": "read on in", "skip": "skip, landed before:", "fail": "cannot read"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: penstock explain --date 2020-12-07")(explain)
    app.command(epilog="Example: penstock status --json")(status)
    app.command(epilog='Example: penstock query "select * from reports.events_by_date order by 1"')(query)
    app.command(epilog="Example: penstock doctor --target production")(doctor)


def explain(
    streams: Streams = None,
    day: Day = None,
    start: From = None,
    end: To = None,
    lookback: Lookback = 0,
    no_fingerprint: NoFingerprint = False,
    project_dir: ProjectDir = None,
    target: TargetName = None,
    json: Json = False,
) -> None:
    """Print what a run would do, and the settings in force, secrets masked. Does nothing."""
    from penstock.doctor.examine import explain_loads

    project = open_project(project_dir, target)
    window = window_of(day, start, end)
    plans = explain_loads(
        project, streams or (), window, fingerprint=not no_fingerprint, lookback=timedelta(days=lookback)
    )
    coming = {p.stream for p in plans if any(f.action in ("read", "resume") for f in p.files)}
    models = _models_to_build(project, coming) if project.has_models else None
    if json:
        planned = {} if models is None else {"models": [asdict(step) for step in models.steps]}
        steps = [p.as_dict() for p in plans]
        print_json({"settings": project.masked(), "steps": steps, "transform": project.has_models, **planned})
        return
    print(f"project {project.name}, destination {project.target} ({project.destination.type})")
    for plan in plans:
        print(f"\nload {plan.stream} from {plan.source}: {plan.how}")
        if plan.problem:
            print(f"  {plan.problem}")
        for action in _VERBS:
            files = [f for f in plan.files if f.action == action]
            if files:
                verb = _VERBS[action]
                print(f"  {verb} {count(len(files), 'file')}, {sum(f.size - f.offset for f in files):,} bytes")
                for file in files[:20]:
                    print(f"    {file.place}" if file.error is None else f"    {file.place}: {file.error.what}")
                if len(files) > 20:
                    print(f"    and {len(files) - 20} more")
    if models is None:
        print("\ntransform: no dbt project")
        return
    built = [step for step in models.steps if step.kind not in TESTS]
    others = len(models.steps) - len(built)
    summary = f"dbt builds {count(len(built), 'model')} and asks {count(others, 'test')}"
    print(f"\ntransform: {models.reason or summary}")
    for step in built:
        print(f"  {step.name}: {step.why}")
    if models.waiting:
        print(f"  what reads {', '.join(models.waiting)} waits for its first load")


def _models_to_build(project: Project, coming: Collection[str]) -> TransformPlan:
    """What a run would have dbt build."""
    from penstock.doctor.examine import existing_destination
    from penstock.transform.explained import explain_transform

    destination = existing_destination(project)
    try:
        return explain_transform(project, destination, coming)
    finally:
        if destination is not None:
            destination.close()


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it anew every two seconds, until Ctrl-C.")] = False,
    project_dir: ProjectDir = None,
    target: TargetName = None,
    json: Json = False,
) -> None:
    """Show the ledger: what fails, streams, last loads, lag, quarantine, models' watermarks, runs and schedules."""
    if watch and (json or not sys.stdout.isatty()):
        raise UsageError("--watch is for a terminal", fix="penstock status --json, as often as it is wanted")
    project = open_project(project_dir, target)
    if watch:
        with suppress(KeyboardInterrupt):
            watch_screen(lambda: _print_status(project))
    else:
        _print_status(project, json=json)


def _print_status(project: Project, *, json: bool = False) -> None:
    from penstock.doctor.examine import read_status
    from penstock.up.running import running_process

    running = running_process(project)
    found = read_status(project) if running is None else running.status()
    if json:
        print_json(found)
        return
    print(f"project {project.name}, destination {project.target} ({project.destination.type})")
    if zone := zone_line():
        print(zone)
    if running is not None:
        print(f"up: process {running.pid}, {running.url}")
        if found.get("note"):
            print(f"  {found['note']}")
    if not found["streams"] and not found.get("damage"):
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
        rows: list[dict[str, Any]] = [with_moments(row) for row in found.get(key, [])]
        if key == "expectations":  # penstock check has the fixes
            rows = [expectation_row(row) for row in rows]
        if rows:
            print_table(list(rows[0]), [list(r.values()) for r in rows], title, spare=_SPARE.get(key, ()))
            print()
    if found["streams"] and not found["quarantine"]:
        print("quarantine: empty")
    for text in found.get("warnings", ()):
        print(f"warning: {text}")


def query(
    sql: Annotated[str, typer.Argument(help="One SQL statement; - reads it from standard input.")],
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    show_pii: ShowPii = False,
    project_dir: ProjectDir = None,
    target: TargetName = None,
    json: Json = False,
) -> None:
    """Run SQL on the destination and print the rows."""
    from penstock.destinations import expect_warehouse, open_destination
    from penstock.privacy.masking import masked_rows
    from penstock.up.running import holder

    if csv and json:
        raise UsageError("--csv and --json exclude each other", fix="give one of them")
    project = open_project(project_dir, target)
    settings = project.destination
    expect_warehouse(settings)
    running = holder(project)
    statement = sys.stdin.read() if sql == "-" else sql
    if not statement.strip(" ;\t\r\n"):
        raise UsageError("there is no statement to ask", fix='penstock query "select * from penstock.loads"')
    if running is not None:
        rows = running.query(statement)
    else:
        destination = open_destination(settings)
        try:
            rows = destination.query(statement)
        finally:
            destination.close()
    if not show_pii:
        rows = masked_rows(project, rows, statement)
    if json:
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


def doctor(project_dir: ProjectDir = None, target: TargetName = None, json: Json = False) -> None:
    """Check versions, project, sources, destination and dbt, and say how to mend what is wrong."""
    from penstock.doctor.examine import examine
    from penstock.up.running import holder

    checks = examine(project_dir, target, holder)
    if json:
        print_json([{"check": c.name, "ok": c.ok, "warns": c.warns, "found": c.found, "fix": c.fix} for c in checks])
    else:
        for check in checks:
            print(f"{'FAIL' if not check.ok else 'warn' if check.warns else 'ok  '}  {check.name}: {check.found}")
            if not check.ok and check.fix:
                print(f"      fix: {check.fix}")
    bad = [c for c in checks if not c.ok]
    if bad:
        raise typer.Exit(next((c.exit_code for c in bad if c.exit_code != 1), 1))
