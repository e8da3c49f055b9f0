"""``init``, ``schema``, ``generate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from penstock.cli import completion
from penstock.cli.command import Call, command
from penstock.cli.json_document import print_document
from penstock.cli.options import day_of
from penstock.cli.printing import count, print_json, print_table
from penstock.editor import schema_text, settings_page
from penstock.errors import UsageError


@command("penstock init my_project --template user_events", "quiet", project=False)
def init(
    call: Call,
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
) -> None:
    """Make a project that runs at once."""
    from penstock.scaffold import create_project

    written = create_project(directory, template, name, force=force)
    if not call.quiet:
        print(f"{count(len(written), 'file')} written to {directory}")
        where = "" if directory == Path() else f"cd {directory} && "
        api = "type: http" in (directory / "penstock.yml").read_text(encoding="utf-8")
        print(f"next: {where}penstock run" + (", with the API that README.md says how to serve" if api else ""))


@command("penstock generate data/events.ndjson --count 1000000 --duplicates 0.01", "quiet", project=False)
def generate(
    call: Call,
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
) -> None:
    """Write made-up user events or organisations, the same for the same seed, streaming to disk."""
    from penstock.samples.generate import write_organizations, write_user_events

    if organizations:
        write_organizations(path, count=count, seed=seed)
    else:
        write_user_events(
            path,
            count=count,
            seed=seed,
            start=day_of(start, "--start", "2020-01-01"),
            events_per_day=events_per_day,
            duplicates=duplicates,
            out_of_order=out_of_order,
            format=format_ or _format_of(path),
        )
    if not call.quiet:
        print(f"{path}: {path.stat().st_size:,} bytes")


@command("penstock schema > penstock.schema.json", "json")
def schema(
    call: Call,
    stream: Annotated[
        str | None,
        typer.Argument(
            help="Show this stream's columns instead.",
            autocompletion=completion.streams,
        ),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="The configuration reference, as Markdown.")] = False,
) -> None:
    """Print the JSON Schema of penstock.yml, for editors; or the columns a stream has got."""
    if markdown or stream is None:
        print_document((settings_page() if markdown else schema_text()).removesuffix("\n"))
        return
    from penstock.land.session import Session

    with Session(call.open()) as session:
        columns = session.destination.ledger.schema(stream).columns
    rows = [(c.name, c.type, c.field, c.declared, c.variant) for c in columns]
    names = ("column", "type", "field", "declared", "variant")
    if call.json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    elif not rows:
        raise UsageError(f"stream {stream!r} has not landed anything", fix="penstock load")
    else:
        print_table(names, rows)


def _format_of(path: Path) -> Literal["json", "ndjson", "csv"]:
    suffixes = [s for s in path.suffixes if s not in (".gz", ".zst")]
    last = suffixes[-1] if suffixes else ""
    return "json" if last == ".json" else "csv" if last == ".csv" else "ndjson"
