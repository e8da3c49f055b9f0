"""``publish``."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from penstock.cli import completion
from penstock.cli.bars import counting_bar
from penstock.cli.command import Call, command
from penstock.cli.printing import count, failures_json, print_json
from penstock.cli.stopping import stoppable


@command("penstock publish user_events data/events.ndjson --rate 1000 --repeat 10", "quiet", "json", "verbose")
def publish(
    call: Call,
    stream: Annotated[
        str,
        typer.Argument(
            help="The stream whose queue takes the messages.",
            autocompletion=completion.streams,
        ),
    ],
    files: Annotated[list[Path], typer.Argument(help="Files, folders or globs; any that a files source reads.")],
    rate: Annotated[float | None, typer.Option("--rate", min=0.001, help="Messages a second, at most.")] = None,
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="Publish the files so many times over.")] = 1,
    shuffle: Annotated[
        bool, typer.Option("--shuffle", help="In random order; all records are held in memory.")
    ] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="The same seed shuffles the same.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Publish so many messages at most.")] = None,
    format_: Annotated[
        Literal["json", "cloudevents", "cloudevents-binary"],
        typer.Option("--format", help="What a message is: the record, or a CloudEvent in structured or binary mode."),
    ] = "json",
    source: Annotated[str | None, typer.Option("--source", help="The source whose queue it is.")] = None,
    queue: Annotated[str | None, typer.Option("--queue", help="Publish to this queue instead.")] = None,
    exchange: Annotated[str | None, typer.Option("--exchange", help="Publish to this exchange instead.")] = None,
    routing_key: Annotated[str | None, typer.Option("--routing-key", help="Publish with this key instead.")] = None,
) -> None:
    """Put the records of files on a stream's queue, each confirmed by the broker."""
    from penstock.publish import Request, size_of
    from penstock.publish import publish as perform

    project = call.open()
    request = Request(
        stream=stream,
        files=files,
        source=source,
        queue=queue,
        exchange=exchange,
        routing_key=routing_key,
        format=format_,
        repeat=repeat,
        limit=limit,
        rate=rate,
        shuffle=shuffle,
        seed=seed,
    )
    started = time.monotonic()
    with (
        stoppable() as stop,
        counting_bar(stream, size_of(project, request), noun="messages", quiet=call.silent) as progress,
    ):
        published = perform(project, request, progress=progress, stop=lambda: bool(stop))
    seconds = time.monotonic() - started
    if call.json:
        counts = {name: getattr(published, name) for name in ("sent", "confirmed", "returned", "nacked")}
        failed = failures_json(published.failures)
        print_json({"stream": stream, **asdict(published.route), **counts, **failed, "seconds": round(seconds, 3)})
    elif not call.quiet:
        rate_ = f" ({seconds:.1f} s, {published.sent / seconds:,.0f} messages/s)" if seconds > 0.05 else ""
        print(f"{stream}: {count(published.confirmed, 'message')} confirmed, to {published.route}{rate_}")
    if published.error is not None:
        raise published.error
    if stop:
        sys.exit(stop.exit_code)
