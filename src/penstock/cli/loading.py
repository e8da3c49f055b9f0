"""``load``, ``transform``, ``run``, ``backfill``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import completion
from penstock.cli.alerting import NotifyOption
from penstock.cli.command import Call, command
from penstock.cli.options import Day, From, Lookback, NoFingerprint, Streams, To, window_of
from penstock.cli.performing import claimed, perform_plan, scheduled
from penstock.cli.runs import run_in_process
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.ports import Window
    from penstock.project import Project
    from penstock.runs.plan import RunPlan

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


@command("penstock load user_events --date 2020-12-07", "quiet", "json", "verbose")
def load(
    call: Call,
    streams: Streams = None,
    day: Day = None,
    start: From = None,
    end: To = None,
    land: Land = None,
    from_lake: FromLake = None,
    lookback: Lookback = 0,
    no_fingerprint: NoFingerprint = False,
    notify: NotifyOption = False,
) -> None:
    """Land what is new in the sources. Again lands nothing."""
    project = _with_lake(call.open(), land, from_lake)
    plan = _loads(
        project,
        streams,
        "load",
        window_of(day, start, end),
        lookback,
        no_fingerprint,
        models=False,
        land=land is not None,
        from_lake=from_lake is not None,
    )
    perform_plan(call, project, plan, kind="load", subjects=streams or (), notify=notify)


@command("penstock transform --full-refresh", "quiet", "json", "verbose")
def transform(
    call: Call,
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
) -> None:
    """Have dbt build and test the models that new loads touch, or those selected: the next run builds the others."""
    project = call.open()
    if not project.has_models:
        raise UsageError(
            "the project has no dbt models",
            where=str(project.directory),
            fix="penstock init --template user_events shows how they look",
        )
    from penstock.runs.plan import RunPlan

    plan = partial(
        RunPlan,
        kind="transform",
        models=True,
        full_refresh=full_refresh,
        layer=layer,
        select=tuple(select or ()),
        exclude=tuple(exclude or ()),
    )
    perform_plan(call, project, plan, kind="transform", subjects=[layer] if layer else (), notify=notify, nodes=nodes)


@command("penstock run --target production", "quiet", "json", "verbose")
def run(
    call: Call,
    streams: Streams = None,
    day: Day = None,
    start: From = None,
    end: To = None,
    full_refresh: FullRefresh = False,
    lookback: Lookback = 0,
    no_fingerprint: NoFingerprint = False,
    now: Now = False,
    notify: NotifyOption = False,
) -> None:
    """Load, then transform. Again does nothing."""
    project = call.open()
    claims: list[str] = []
    if now:
        if day or start or end or full_refresh or lookback or no_fingerprint:
            raise UsageError(
                "--now runs what is scheduled as it is: it goes with the names of streams alone",
                fix="leave the other options out, or leave out --now",
            )
        streams, claims = scheduled(project, streams or ())
        if run_in_process(call, project, streams):
            return
    plan = _loads(
        project,
        streams,
        "run",
        window_of(day, start, end),
        lookback,
        no_fingerprint,
        models=project.has_models,
        full_refresh=full_refresh,
    )
    with claimed(project, claims, quiet=call.silent):
        perform_plan(call, project, plan, kind="run", subjects=streams or (), notify=notify)


@command("penstock backfill --from 2020-12-05 --to 2020-12-11", "quiet", "json", "verbose")
def backfill(
    call: Call,
    start: Annotated[str, typer.Option("--from", help="The first day, by event time: 2020-12-05.")],
    end: Annotated[str, typer.Option("--to", help="The last day, taken in.")],
    streams: Streams = None,
    lookback: Lookback = 0,
    no_fingerprint: NoFingerprint = False,
    notify: NotifyOption = False,
) -> None:
    """Load and model a range of days. Days that are there already stay as they are."""
    project = call.open()
    window = window_of(None, start, end)
    plan = _loads(project, streams, "backfill", window, lookback, no_fingerprint, models=project.has_models)
    perform_plan(call, project, plan, kind="backfill", subjects=streams or (), notify=notify)


def _loads(
    project: Project,
    streams: Sequence[str] | None,
    kind: str,
    window: Window | None,
    lookback_days: int,
    no_fingerprint: bool,
    **more: bool,
) -> Callable[[], RunPlan]:
    """What makes the plan of such loads, as the options that several commands have say."""
    from penstock.runs.plan import plan_run

    return lambda: plan_run(
        project,
        streams or (),
        kind=kind,
        window=window,
        fingerprint=not no_fingerprint,
        lookback=timedelta(days=lookback_days),
        **more,
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
