"""``consume``."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.command import Call, command
from penstock.cli.options import Streams
from penstock.cli.printing import print_json
from penstock.cli.stopping import stoppable
from penstock.errors import DestinationError
from penstock.logs import fail

if TYPE_CHECKING:
    from penstock.land.loop import Stop
    from penstock.runs.consume import Consumer

GRACE_SECONDS = 10.0
"""How long consumers may take to end once they are to: what they wait for may not let go of them."""
_POLL_SECONDS = 0.1


@command("penstock consume user_events --until-empty", "quiet", "json", "verbose")
def consume(
    call: Call,
    streams: Streams = None,
    until_empty: Annotated[bool, typer.Option("--until-empty", help="End when the queue is drained.")] = False,
    max_messages: Annotated[
        int | None, typer.Option("--max-messages", min=1, help="End after so many messages.")
    ] = None,
    max_seconds: Annotated[float | None, typer.Option("--max-seconds", min=0, help="End after so long.")] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Take messages also where one broke the contract, and nothing has changed since."),
    ] = False,
) -> None:
    """Land what comes by queue, until stopped. A message is acknowledged once what it holds is committed."""
    from penstock.copying.record import expect_project_copied
    from penstock.runs.consume import Consumer, queues

    project = call.open(serves=True)
    expect_project_copied(project)

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
                again=again,
            )
            for stream, source in queues(project, streams or ())
        ]
        failures, late = _run(consumers, stop, max_seconds)
    if call.json:
        print_json([_counts(c) for c in consumers])
    elif not call.quiet:
        for consumer in consumers:
            print(_line(consumer))
    if late:
        for failure in failures:
            print(f"error: {failure}", file=sys.stderr)
        fail(_cut_off(late))
        sys.stdout.flush()
        os._exit(DestinationError.exit_code)  # a thread that does not let go would keep the process
    if failures:
        raise failures[0]


def _run(
    consumers: list[Consumer], stop: Stop, max_seconds: float | None
) -> tuple[list[BaseException], list[Consumer]]:
    """Run each in a thread of its own until all have ended; the first error stops the others.

    Returns:
        The errors, and the consumers that have not ended in time.
    """
    failures: list[BaseException] = []

    def work(consumer: Consumer) -> None:
        try:
            consumer.run()
        except BaseException as e:  # noqa: BLE001 - raised in the main thread
            failures.append(e)
            stop.set()

    threads: Mapping[threading.Thread, Consumer] = {
        threading.Thread(target=work, args=(c,), name=f"consume {c.stream}", daemon=True): c for c in consumers
    }
    for thread in threads:
        thread.start()
    give_up = math.inf if max_seconds is None else time.monotonic() + max_seconds + GRACE_SECONDS
    stopped = False
    while (alive := [t for t in threads if t.is_alive()]) and time.monotonic() < give_up:
        alive[0].join(_POLL_SECONDS)
        if stop and not stopped:
            stopped = True
            give_up = min(give_up, time.monotonic() + GRACE_SECONDS)
    return failures, [threads[t] for t in alive]


def _cut_off(late: list[Consumer]) -> DestinationError:
    streams = ", ".join(c.stream for c in late)
    return DestinationError(
        f"{streams}: cut off while the warehouse was at work; what was in hand is rolled back, and in the queue again",
        fix="see what holds the warehouse up: penstock doctor; then consume again",
    )


def _line(consumer: Consumer) -> str:
    line = (
        f"{consumer.stream}: {consumer.read:,} read, {consumer.landed:,} landed,"
        f" {consumer.duplicates:,} duplicates, {consumer.quarantined:,} quarantined"
    )
    return f"{line}; {consumer.unlanded:,} could not land, and are in the queue again" if consumer.unlanded else line


def _counts(consumer: Consumer) -> dict[str, object]:
    return {
        "stream": consumer.stream,
        "source": consumer.source,
        "read": consumer.read,
        "landed": consumer.landed,
        "duplicates": consumer.duplicates,
        "quarantined": consumer.quarantined,
        "unlanded": consumer.unlanded,
        "reconnects": consumer.reconnects,
    }
