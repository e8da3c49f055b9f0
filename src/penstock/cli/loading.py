"""``load``, ``transform``, ``run``, ``backfill``."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import completion
from penstock.cli.alerting import NotifyOption
from penstock.cli.locked import explained
from penstock.cli.options import (
    Day,
    From,
    Json,
    Lookback,
    NoFingerprint,
    ProjectDir,
    Quiet,
    Streams,
    TargetName,
    To,
    Verbose,
    open_project,
    window_of,
)
from penstock.cli.printing import doing, print_json, print_warnings
from penstock.cli.runs import run_in_process
from penstock.errors import PenstockError, UsageError

if TYPE_CHECKING:
    from penstock.land.loop import Stop
    from penstock.ports import Window
    from penstock.project import Project

LAKE_FORMATS = ("ndjson", "csv", "parquet")
Land = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--land",
        metavar="FORMAT DIR",
        help="Also keep what is fetched as flat files in this folder: ndjson, csv or parquet.",
    ),
]
FromLake = Annotated[
    Path | None,
    typer.Option("--from-lake", metavar="DIR", help="Load from what --land kept in this folder; ask no source."),
]
Now = Annotated[
    bool,
    typer.Option(
        "--now", help="Run what is scheduled, without waiting for its time; through penstock up while it runs."
    ),
]
FullRefresh = Annotated[bool, typer.Option("--full-refresh", help="Build every model anew from all that has landed.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: penstock load user_events --date 2020-12-07")(load)
    app.command(epilog="Example: penstock transform --full-refresh")(transform)
    app.command(epilog="Example: penstock run --target production")(run)
    app.command(epilog="Example: penstock backfill --from 2020-12-05 --to 2020-12-11")(backfill)


def load(
    streams: Streams = None,
    day: Day = None,
    start: From = None,
    end: To = None,
    land: Land = None,
    from_lake: FromLake = None,
    lookback: Lookback = 0,
    no_fingerprint: NoFingerprint = False,
    notify: NotifyOption = False,
    project_dir: ProjectDir = None,
    target: TargetName = None,
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Land what is new in the sources. Again lands nothing."""
    project = _with_lake(open_project(project_dir, target, quiet=quiet, verbose=verbose), land, from_lake)
    _perform(
        project,
        streams or (),
        window_of(day, start, end),
        kind="load",
        fingerprint=not no_fingerprint,
        lookback=lookback,
        land=land is not None,
        from_lake=from_lake is not None,
        notify=notify,
        quiet=quiet,
        json=json,
    )


def transform(
    full_refresh: FullRefresh = False,
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer",
            help="Build this layer only: a folder of models, after those it reads.",
            autocompletion=completion.layers,
        ),
    ] = None,
    select: Annotated[
        list[str] | None,
        typer.Option(
            "--select", "-s", help='Build what this chooses, in dbt\'s syntax: "stg_users+ tag:daily". Repeatable.'
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", help="Build all but what this chooses, likewise. Repeatable.")
    ] = None,
    nodes: Annotated[bool, typer.Option("--nodes", help="Print each model and test with its outcome.")] = False,
    notify: NotifyOption = False,
    project_dir: ProjectDir = None,
    target: TargetName = None,
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Have dbt build and test the models that new loads touch, or those selected: the next run builds the others."""
    project = open_project(project_dir, target, quiet=quiet, verbose=verbose)
    if not project.has_models:
        raise UsageError(
            "the project has no dbt models",
            where=str(project.directory),
            fix="penstock init --template user_events shows how they look",
        )
    _perform(
        project,
        None,
        None,
        models=True,
        full_refresh=full_refresh,
        layer=layer,
        select=select or (),
        exclude=exclude or (),
        nodes=nodes,
        notify=notify,
        quiet=quiet,
        json=json,
    )


def run(
    streams: Streams = None,
    day: Day = None,
    start: From = None,
    end: To = None,
    full_refresh: FullRefresh = False,
    lookback: Lookback = 0,
    no_fingerprint: NoFingerprint = False,
    now: Now = False,
    notify: NotifyOption = False,
    project_dir: ProjectDir = None,
    target: TargetName = None,
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Load, then transform. Again does nothing."""
    project = open_project(project_dir, target, quiet=quiet, verbose=verbose)
    claims: list[str] = []
    if now:
        if day or start or end or full_refresh or lookback or no_fingerprint:
            raise UsageError(
                "--now runs what is scheduled as it is: it goes with the names of streams alone",
                fix="leave the other options out, or leave out --now",
            )
        streams, claims = _scheduled(project, streams or ())
        if run_in_process(project, streams, quiet=quiet, json=json):
            return
    with _claimed(project, claims, quiet=quiet or json):
        _perform(
            project,
            streams or (),
            window_of(day, start, end),
            fingerprint=not no_fingerprint,
            lookback=lookback,
            models=project.has_models,
            full_refresh=full_refresh,
            notify=notify,
            quiet=quiet,
            json=json,
        )


def backfill(
    start: Annotated[str, typer.Option("--from", help="The first day, by event time: 2020-12-05.")],
    end: Annotated[str, typer.Option("--to", help="The last day, taken in.")],
    streams: Streams = None,
    lookback: Lookback = 0,
    no_fingerprint: NoFingerprint = False,
    notify: NotifyOption = False,
    project_dir: ProjectDir = None,
    target: TargetName = None,
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Load and model a range of days. Days that are there already stay as they are."""
    project = open_project(project_dir, target, quiet=quiet, verbose=verbose)
    _perform(
        project,
        streams or (),
        window_of(None, start, end),
        kind="backfill",
        fingerprint=not no_fingerprint,
        lookback=lookback,
        models=project.has_models,
        notify=notify,
        quiet=quiet,
        json=json,
    )


def _with_lake(project: Project, land: tuple[str, str] | None, from_lake: Path | None) -> Project:
    """The project with the lake that the options name.

    Raises:
        UsageError: both options, or no such format.
    """
    if land is None and from_lake is None:
        return project
    if land is not None and from_lake is not None:
        raise UsageError("--land writes the lake and --from-lake reads it", fix="give one of them")
    from penstock.project import Lake

    settings: dict[str, Any] = {"path": (Path.cwd() / from_lake) if from_lake is not None else None}
    if land is not None:
        format_, folder = land
        if format_ not in LAKE_FORMATS:
            raise UsageError(
                f"--land {format_}: no such format",
                fix=f"write --land {LAKE_FORMATS[0]} {folder}; there are {', '.join(LAKE_FORMATS)}",
            )
        settings = {"path": Path.cwd() / folder, "format": format_}
    if project.lake is not None:
        settings["compression"] = project.lake.compression
    return project.with_lake(Lake(**settings))


def _perform(
    project: Project,
    streams: Sequence[str] | None,
    window: Window | None,
    *,
    kind: str = "run",
    notify: bool = False,
    **options: Any,
) -> None:
    """As :func:`_work`; with ``notify``, tell when it fails and when it is well again."""
    kind = kind if streams is not None else "transform"
    if not notify:
        _work(project, streams, window, kind=kind, **options)
        return
    from penstock.cli.alerting import tell_run, warn_nobody

    warn_nobody(project)
    begun: list[int] = []
    words = [options["layer"]] if options.get("layer") else list(streams or ())
    try:
        _work(project, streams, window, kind=kind, began=begun.append, **options)
    except Exception as e:
        tell_run(project, kind, words, e, begun)
        raise
    tell_run(project, kind, words, None, begun)


def _work(
    project: Project,
    streams: Sequence[str] | None,
    window: Window | None,
    *,
    kind: str,
    began: Callable[[int], None] = lambda _: None,
    fingerprint: bool = True,
    lookback: int = 0,
    land: bool = False,
    from_lake: bool = False,
    models: bool = False,
    full_refresh: bool = False,
    layer: str | None = None,
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    nodes: bool = False,
    quiet: bool,
    json: bool,
) -> None:
    """Load ``streams`` (none at all when None), then build models, and print what was done."""
    from penstock.cli.progress import Printing, report_json
    from penstock.land.session import Session
    from penstock.runs.batch import RunPlan, perform, plan_run

    if streams is None:
        plan = RunPlan(kind=kind, models=models, full_refresh=full_refresh, layer=layer, select=select, exclude=exclude)
    else:
        plan = plan_run(
            project,
            streams,
            kind=kind,
            window=window,
            fingerprint=fingerprint,
            lookback=timedelta(days=lookback),
            land=land,
            from_lake=from_lake,
            models=models,
            full_refresh=full_refresh,
        )
    silent = quiet or json
    if not silent:
        print_warnings(plan.warnings)
    with Session(project) as session, stoppable() as stop:
        listener = Printing(session, began=began, nodes=nodes, silent=silent)
        report = perform(plan, session, listener, stop=stop)
    error = report.error
    if json and (error is None or isinstance(error, PenstockError)):
        failed = {} if error is None else {"error": explained(error).as_dict()}
        print_json({**report_json(project, report), **failed})
    report.raise_for_error()
    if stop:
        if not silent:
            print("stopped: what was landed is committed, the rest waits for the next run", flush=True)
        sys.exit(stop.exit_code)


def _scheduled(project: Project, streams: Sequence[str]) -> tuple[list[str], list[str]]:
    """The streams that are scheduled, those named or all of them, and the claims on their schedules."""
    from penstock.runs.plan import named_streams, plan_schedules
    from penstock.up.running import running_process

    found = named_streams(project, plan_schedules(project), streams, up=running_process(project) is not None)
    return list(dict.fromkeys(step.stream for loads in found for step in loads.steps)), [loads.claim for loads in found]


@contextmanager
def _claimed(project: Project, names: Sequence[str], *, quiet: bool) -> Iterator[None]:
    """Wait until no process on any machine runs these, and say so meanwhile."""
    from penstock.destinations import open_destination

    with ExitStack() as held:
        with doing("waiting", quiet=quiet) as progress:

            def wait(seconds: float) -> None:
                progress(f"for {name}, which another process runs")
                time.sleep(seconds)

            for name in sorted(names):
                held.enter_context(open_destination(project.destination).claim(name, wait))
        yield


@contextmanager
def stoppable() -> Iterator[Stop]:
    """A stop that Ctrl-C and SIGTERM set: the batch in hand is finished, then all is committed. Twice means now."""
    from penstock.land.loop import Stop

    stop = Stop()

    def ask(number: int, _: Any) -> None:
        if stop:
            raise KeyboardInterrupt
        stop.set(128 + number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
