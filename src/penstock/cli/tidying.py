"""``tidy``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.command import Call, command
from penstock.cli.options import Streams
from penstock.cli.printing import count, print_json

if TYPE_CHECKING:
    from penstock.upkeep import TidiedTable


@command("penstock tidy", "quiet", "json", name="tidy")
def tidy_(
    call: Call,
    streams: Streams = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing: say what would be done.")] = False,
) -> None:
    """Write small files of Iceberg tables together, and remove old snapshots and files that nothing names."""
    from penstock.land.session import Session
    from penstock.runs.outcome import Listener, Report
    from penstock.runs.plan import RunPlan
    from penstock.runs.tidy import TIDY, keeps_files, tidy

    tables: list[TidiedTable] = []

    class Tell(Listener):
        def tidied(self, table: TidiedTable) -> None:
            tables.append(table)
            if not (call.json or call.quiet):
                print("\n".join(_lines(table, dry_run=dry_run)))

    project, plan = call.open(), RunPlan(kind=TIDY)
    with Session(project) as session:
        if dry_run:
            for table in keeps_files(session).tidy_tables(streams or (), dry_run=True):
                Tell().tidied(table)
            report = Report(plan=plan, failures=[table.error for table in tables if table.error is not None])
        else:
            report = tidy(plan, session, streams or (), Tell())
    if call.json:
        print_json([table.as_dict() for table in tables])
    elif not (tables or call.quiet or report.failures):
        print("nothing has landed yet")
    report.raise_for_error()


def _lines(table: TidiedTable, *, dry_run: bool) -> list[str]:
    """What was done about a table, or would be."""
    if table.error is not None:
        return [f"{table.table}: {table.error.what}"]
    would = "would be " if dry_run else ""
    was = f"{count(table.files_before, 'file')}, {count(table.bytes_before, 'byte')}"
    now = f"{count(table.files_after, 'file')}, {count(table.bytes_after, 'byte')}"
    lines = [f"{table.table}: {was}" if dry_run or was == now else f"{table.table}: {was} before, {now} now"]
    if table.rewritten:
        lines.append(f"  {count(table.rewritten, 'small file')} {would}written together")
    if table.snapshots_expired:
        kept = f", {table.snapshots_kept:,} kept"
        lines.append(f"  {count(table.snapshots_expired, 'snapshot')} {would}expired{kept}")
    removed = [
        f"{count(number, 'file')} {whose}"
        for number, whose in ((table.files_removed, "of theirs"), (table.orphans_removed, "that nothing names"))
        if number
    ]
    if removed:
        lines.append(f"  {' and '.join(removed)} {would}removed, {count(table.bytes_removed, 'byte')}")
    return [*lines, *(f"  left: {what}" for what in table.left)]
