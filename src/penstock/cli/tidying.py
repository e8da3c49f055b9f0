"""``tidy``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.command import Call, command
from penstock.cli.options import Streams
from penstock.cli.printing import count, print_json
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.upkeep import TidiedTable


@command("penstock tidy", "quiet", "json")
def tidy(
    call: Call,
    streams: Streams = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing: say what would be done.")] = False,
) -> None:
    """Write small files of Iceberg tables together, and remove old snapshots and files that nothing names."""
    from penstock.land.session import Session
    from penstock.upkeep import KeepsFiles

    project = call.open()
    with Session(project) as session:
        warehouse = session.destination
        if not isinstance(warehouse, KeepsFiles):
            raise UsageError(
                f"a warehouse of type {warehouse.kind} has no files and snapshots to look after",
                where=project.destination.address,
                fix="nothing: it frees space by itself",
            )
        tables = []
        for table in warehouse.tidy_tables(streams or (), dry_run=dry_run):
            tables.append(table)
            if not (call.json or call.quiet):
                print("\n".join(_lines(table, dry_run=dry_run)))
    if call.json:
        print_json([table.as_dict() for table in tables])
    elif not (tables or call.quiet):
        print("nothing has landed yet")


def _lines(table: TidiedTable, *, dry_run: bool) -> list[str]:
    """What was done about a table, or would be."""
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
