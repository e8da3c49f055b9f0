"""``init``, ``schema``, ``generate``."""

from __future__ import annotations

import json as json_module
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from penstock.cli import completion
from penstock.cli.document import print_document
from penstock.cli.options import Json, ProjectDir, Quiet, TargetName, open_project
from penstock.cli.printing import count, print_json, print_table
from penstock.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: penstock init my_project --template user_events")(init)
    app.command(epilog="Example: penstock generate data/events.ndjson --count 1000000 --duplicates 0.01")(generate)
    app.command(epilog="Example: penstock schema > penstock.schema.json")(schema)


def init(
    directory: Annotated[Path, typer.Argument(help="The project's folder; made when missing.")] = Path(),
    template: Annotated[
        str,
        typer.Option(
            "--template",
            help="minimal, user_events, car_subscriptions, or random_users.",
            autocompletion=completion.templates,
        ),
    ] = "minimal",
    name: Annotated[str | None, typer.Option("--name", help="The project's name; by default the folder's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also into a folder that is not empty.")] = False,
    quiet: Quiet = False,
) -> None:
    """Make a project that runs at once."""
    from penstock.scaffold import create_project

    written = create_project(directory, template, name, force=force)
    if not quiet:
        print(f"{count(len(written), 'file')} written to {directory}")
        where = "" if directory == Path() else f"cd {directory} && "
        api = "type: http" in (directory / "penstock.yml").read_text(encoding="utf-8")
        print(f"next: {where}penstock run" + (", with the API that README.md says how to serve" if api else ""))


def generate(
    path: Annotated[Path, typer.Argument(help="The file to write; .gz and .zst compress it.")],
    count: Annotated[int, typer.Option("--count", "-n", min=0, max=100_000_000, help="How many events.")] = 1_000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same file.")] = 1,
    duplicates: Annotated[float, typer.Option("--duplicates", min=0, max=0.5, help="Part of exact duplicates.")] = 0.0,
    out_of_order: Annotated[float, typer.Option("--out-of-order", min=0, max=1, help="Part that comes late.")] = 0.0,
    start: Annotated[str, typer.Option("--start", help="The first day.")] = "2020-01-01",
    events_per_day: Annotated[int | None, typer.Option("--events-per-day", min=1, help="How many a day.")] = None,
    organizations: Annotated[
        bool, typer.Option("--organizations", help="Write organisations instead of events.")
    ] = False,
    format_: Annotated[
        Literal["json", "ndjson", "csv"] | None,
        typer.Option("--format", help="ndjson, json or csv; by default as the name says."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write made-up user events or organisations, the same for the same seed, streaming to disk."""
    from penstock.samples.generate import write_organizations, write_user_events

    if organizations:
        write_organizations(path, count=count, seed=seed)
    else:
        try:
            first = datetime.strptime(start, "%Y-%m-%d").date()
        except ValueError:
            raise UsageError(f"--start {start!r} is no date", fix="write it so: --start 2020-01-01") from None
        write_user_events(
            path,
            count=count,
            seed=seed,
            start=first,
            events_per_day=events_per_day,
            duplicates=duplicates,
            out_of_order=out_of_order,
            format=format_ or _format_of(path),
        )
    if not quiet:
        print(f"{path}: {path.stat().st_size:,} bytes")


def schema(
    stream: Annotated[
        str | None,
        typer.Argument(
            help="Show this stream's columns instead.",
            autocompletion=completion.streams,
        ),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="The configuration reference, as Markdown.")] = False,
    project_dir: ProjectDir = None,
    target: TargetName = None,
    json: Json = False,
) -> None:
    """Print the JSON Schema of penstock.yml, for editors; or the columns a stream has got."""
    from penstock.project import configuration_page, project_schema

    if markdown:
        print(configuration_page(), end="")
        return
    if stream is None:
        print_document(json_module.dumps(project_schema(), indent=2))
        return
    from penstock.land.session import Session

    with Session(open_project(project_dir, target)) as session:
        columns = session.destination.ledger.schema(stream).columns
    rows = [(c.name, c.type, c.field, c.declared, c.variant) for c in columns]
    names = ("column", "type", "field", "declared", "variant")
    if json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    elif not rows:
        raise UsageError(f"stream {stream!r} has not landed anything", fix="penstock load")
    else:
        print_table(names, rows)


def _format_of(path: Path) -> Literal["json", "ndjson", "csv"]:
    suffixes = [s for s in path.suffixes if s not in (".gz", ".zst")]
    last = suffixes[-1] if suffixes else ""
    return "json" if last == ".json" else "csv" if last == ".csv" else "ndjson"
