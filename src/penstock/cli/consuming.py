"""``consume``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.loading import stoppable
from penstock.cli.options import Json, ProjectDir, Quiet, Streams, TargetName, Verbose, open_project
from penstock.cli.printing import print_json

if TYPE_CHECKING:
    from penstock.consume import Consumer

_POLL_SECONDS = 0.1


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: penstock consume user_events --until-empty")(consume)


def consume(
    streams: Streams = None,
    until_empty: Annotated[bool, typer.Option("--until-empty", help="End when the queue is drained.")] = False,
    max_messages: Annotated[
        int | None, typer.Option("--max-messages", min=1, help="End after so many messages.")
    ] = None,
    max_seconds: Annotated[float | None, typer.Option("--max-seconds", min=0, help="End after so long.")] = None,
    project_dir: ProjectDir = None,
    target: TargetName = None,
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Land what comes by queue, until stopped. A message is acknowledged once what it holds is committed."""
    from penstock.consume import Consumer, queues

    project = open_project(project_dir, target, serves=True, quiet=quiet, verbose=verbose)

    with stoppable() as stop:
        consumers = [
            Consumer(
                project,
                stream,
                source,
                until_empty=until_empty,
                max_messages=max_messages,
                max_seconds=max_seconds,
                stop=stop,
            )
            for stream, source in queues(project, streams or ())
        ]
        failure = _run(consumers, stop.set)
    if json:
        print_json([_counts(c) for c in consumers])
    elif not quiet:
        for consumer in consumers:
            print(_line(consumer))
    if failure is not None:
        raise failure


def _run(consumers: list[Consumer], stop_all: Callable[[], None]) -> BaseException | None:
    """Run each in a thread of its own until all have ended; the first error stops the others."""
    failures: list[BaseException] = []

    def work(consumer: Consumer) -> None:
        try:
            consumer.run()
        except BaseException as e:  # noqa: BLE001 - raised in the main thread
            failures.append(e)
            stop_all()

    threads = [threading.Thread(target=work, args=(c,), name=f"consume {c.stream}", daemon=True) for c in consumers]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        threads[0].join(_POLL_SECONDS) if threads[0].is_alive() else time.sleep(_POLL_SECONDS)
    return failures[0] if failures else None


def _line(consumer: Consumer) -> str:
    return (
        f"{consumer.stream}: {consumer.read:,} read, {consumer.landed:,} landed,"
        f" {consumer.duplicates:,} duplicates, {consumer.quarantined:,} quarantined"
    )


def _counts(consumer: Consumer) -> dict[str, object]:
    return {
        "stream": consumer.stream,
        "source": consumer.source,
        "read": consumer.read,
        "landed": consumer.landed,
        "duplicates": consumer.duplicates,
        "quarantined": consumer.quarantined,
        "reconnects": consumer.reconnects,
    }
