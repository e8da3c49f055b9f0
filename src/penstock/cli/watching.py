"""``watch``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import completion
from penstock.cli.command import Call, command
from penstock.cli.printing import count, print_json
from penstock.cli.stopping import stoppable
from penstock.errors import SourceError
from penstock.logs import listed

if TYPE_CHECKING:
    from penstock.land.loop import Stop
    from penstock.ports import Receipt, Rows
    from penstock.project import Project
    from penstock.runs.watch import Watcher


@command("penstock watch data/user_events --publish", "quiet", "json", "verbose")
def watch(
    call: Call,
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="The folder; those of all streams' files without one.")
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(
            "--stream",
            "-s",
            help="Where it lands: needed where no stream's files are.",
            autocompletion=completion.streams,
        ),
    ] = None,
    publish: Annotated[bool, typer.Option("--publish", help="Put the records on the stream's queue instead.")] = False,
    once: Annotated[bool, typer.Option("--once", "--until-empty", help="Take what is there, and end.")] = False,
) -> None:
    """Land files as they are dropped into a folder, as soon as each is wholly written. Until stopped."""
    from penstock.copying.record import expect_project_copied
    from penstock.runs.folders import watched
    from penstock.runs.watch import Watcher

    project = call.open(serves=not once)
    expect_project_copied(project)
    say = _say if once and not call.silent else (lambda _: None)
    counts = dict.fromkeys(("read", "landed", "duplicates", "quarantined"), 0)

    def made(name: str, source: str) -> Watcher:
        def committed(receipt: Receipt) -> None:
            for word in counts:
                counts[word] += getattr(receipt, word)
            say(_line(receipt, watcher.files))

        watcher = Watcher(
            project,
            name,
            source,
            directory=directory,
            publish=publish,
            once=once,
            stop=stop,
            on_commit=committed,
            held=partial(_asked, project) if publish else lambda: None,
            on_known=lambda why, files: say(f"{name}: {why}: {listed(files)}"),
        )
        return watcher

    places = watched(project, directory, stream)
    with stoppable() as stop:
        watchers = [made(name, source) for name, source in places]
        failure = _run(watchers, stop, once=once)
    failures = {str(path): error for watcher in watchers for path, error in watcher.failures.items()}
    if call.json:
        print_json(
            {
                **counts,
                "published": sum(watcher.published for watcher in watchers),
                "failed": {path: str(error) for path, error in failures.items()},
            }
        )
    else:
        for (name, _), watcher in zip(places, watchers, strict=True):
            if watcher.published:
                say(f"{name}: {count(watcher.published, 'message')} published")
        if once and not stop and not counts["read"] and not failures and not any(w.published for w in watchers):
            say("nothing new")
    if failure is not None:
        raise failure
    if once and failures:
        raise SourceError(
            f"{count(len(failures), 'file')} could not be taken: {', '.join(failures)}",
            fix="mend them, and do it again: what was taken is not taken twice",
        ) from None


def _asked(project: Project) -> Callable[[str], Rows] | None:
    """The way to ask the process that has the project's DuckDB file to itself, if there is one."""
    from penstock.up.running_process import holder

    running = holder(project)
    return None if running is None else running.query


def _run(watchers: list[Watcher], stop: Stop, *, once: bool) -> BaseException | None:
    """One after the other, or all at once; the first error that ended one ends them all."""
    if once or len(watchers) == 1:
        for watcher in watchers:
            watcher.run()
        return None
    failures: list[BaseException] = []

    def run(watcher: Watcher) -> None:
        try:
            watcher.run()
        except BaseException as e:  # noqa: BLE001 - raised again in the main thread
            failures.append(e)
            stop.set()

    threads = [threading.Thread(target=run, args=(w,), name="watch") for w in watchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures[0] if failures else None


def _line(receipt: Receipt, files: Sequence[str]) -> str:
    return (
        f"{receipt.stream}: {receipt.read:,} read, {receipt.landed:,} landed, "
        f"{count(receipt.duplicates, 'duplicate')}, {receipt.quarantined:,} quarantined ({listed(files)})"
    )


def _say(line: str) -> None:
    print(line, flush=True)
