"""``metabase sync``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.command import Call, command
from penstock.cli.printing import count, end_with, print_json, print_table

if TYPE_CHECKING:
    from penstock.bi.metabase.changes import Synced

app = typer.Typer(name="metabase", help="Show the project in Metabase.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """Show the project in Metabase."""


@command("penstock metabase sync --url http://localhost:3000 --target production", "quiet", "json")
def sync(
    call: Call,
    url: Annotated[
        str | None, typer.Option("--url", help="Where Metabase is, instead of METABASE_URL and the settings.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would be changed.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Take back cards that were edited or thrown away in Metabase.")
    ] = False,
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to wait for Metabase to start, and to see new tables.")
    ] = 300.0,
) -> None:
    """Show the project in Metabase: the warehouse, descriptions, every question as a card, and a dashboard."""
    from penstock.bi.metabase.access import access_of
    from penstock.bi.metabase.syncing import sync_metabase
    from penstock.bi.warehouse import reach_of
    from penstock.project import variables_of

    project = call.open()
    variables = variables_of(project.directory)
    reach_of(project, "Metabase", variables)  # a file is no use to it, whoever asks
    access = access_of(project, variables, url=url)
    synced = sync_metabase(
        project,
        access,
        variables,
        apply=not dry_run,
        overwrite=overwrite,
        wait_seconds=wait,
        say=lambda text: None if call.quiet else print(text, file=sys.stderr, flush=True),
    )
    if call.json:
        print_json(_data(synced))
    elif not call.quiet:
        _print(synced, dry_run=dry_run)
    end_with(synced.problems)


def _print(synced: Synced, *, dry_run: bool) -> None:
    print_table(
        ["what", "name", "would be" if dry_run else "is", "note"],
        [[c.kind, c.name, c.what, c.note] for c in synced.changes if c.what != "unchanged" or c.kind != "table"],
    )
    changed = count(len(synced.changed), "change") + (" to make" if dry_run else "")
    print(f"{changed}, {synced.count('unchanged')} unchanged, {synced.count('left')} left")
    for note in synced.notes:
        print(f"note: {note}")
    if synced.dashboard is not None:
        print(f"{synced.url}/dashboard/{synced.dashboard}")


def _data(synced: Synced) -> dict[str, object]:
    return {
        "url": synced.url,
        "version": synced.version,
        "dashboard": synced.dashboard,
        "changes": [{"kind": c.kind, "name": c.name, "what": c.what, "note": c.note} for c in synced.changes],
        "notes": synced.notes,
        "problems": [{"what": p.what, "where": p.where, "fix": p.fix} for p in synced.problems],
    }


sync.add_to(app)
