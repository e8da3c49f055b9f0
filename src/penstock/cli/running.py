"""``up``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.command import Call, command
from penstock.cli.printing import count
from penstock.cli.stopping import stoppable
from penstock.logs import get_log, is_json
from penstock.version import __version__

if TYPE_CHECKING:
    from penstock.runs.consume import Consumer
    from penstock.up.running_process import Running

_log = get_log("up")

_LANDED = "stopped: what was in hand is landed"
_POLL_SECONDS = 0.2
_LOOK_SECONDS = 2.0
"""How often it is looked whether the project's file was changed."""


@command("penstock up --port 9465", "quiet", "verbose")
def up(
    call: Call,
    host: Annotated[str | None, typer.Option("--host", help="Answer on this address; 127.0.0.1 by default.")] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65_535, help="Answer on this port, 9464 by default; 0 takes a free one."),
    ] = None,
) -> None:
    """Land what comes, by queue, by file and by schedule, and build the models that depend on it, until stopped."""
    from penstock.copying.record import expect_project_copied
    from penstock.lineage.emitter import close_all
    from penstock.up.supervisor import Supervisor

    project = call.open(serves=True)
    expect_project_copied(project)

    def greet(running: Running) -> None:
        parts = [part.name for part in supervisor.parts]
        if is_json():
            fields = {"project": project.name, "target": project.target, "version": __version__, "pid": running.pid}
            _log.info("up", **fields, url=running.url, parts=parts)
        elif not call.quiet:
            print(f"{project.name} is up: {count(len(parts), 'part')}, {running.url}")
            print("".join(f"  {part}\n" for part in parts), end="", flush=True)

    with stoppable(serves=True) as stop:
        supervisor = Supervisor(project, models=project.has_models, stop=stop, host=host, port=port, on_up=greet)
        try:
            supervisor.start()
            looked = time.monotonic()
            while not stop:
                time.sleep(_POLL_SECONDS)
                if time.monotonic() - looked > _LOOK_SECONDS:
                    looked = time.monotonic()
                    supervisor.look()
        finally:
            stop.set()
            late = supervisor.close()
        unlanded = supervisor.unlanded()
        for consumer in unlanded:
            fields = {"stream": consumer.stream, "source": consumer.source, "messages": consumer.unlanded}
            _log.error("messages could not land, and are in the queue again", **fields, error=consumer.waiting_for)
        if is_json():
            _log.info("stopped: all else that was in hand is landed" if unlanded or late else _LANDED)
        elif not call.quiet or unlanded:
            print(_last_line(unlanded, late), flush=True)
        if late:
            close_all()
            sys.stdout.flush()
            os._exit(0)


def _last_line(unlanded: Sequence[Consumer], late: Sequence[str]) -> str:
    """What became of that which was in hand."""
    if not unlanded and not late:
        return _LANDED
    parts = [
        f"{c.stream}: {count(c.unlanded, 'message')} not landed, and in the queue again; {c.waiting_for}"
        for c in unlanded
    ]
    parts += [f"{part}: cut off; what it had not committed is done again at the next start" for part in late]
    return "\n".join(f"stopped: {text}" for text in parts)
