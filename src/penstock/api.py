"""What a program calls: ``penstock.run``, ``penstock.plan``, ``penstock.land``, ``penstock.query``."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.copying.record import expect_copied
from penstock.destinations import expect_warehouse, open_destination
from penstock.errors import UsageError
from penstock.privacy.masking import masked_rows
from penstock.project import Project, load_project
from penstock.project.steps import LoadStep
from penstock.runs.outcome import Listener, Report
from penstock.runs.plan import RunPlan, day_window, expect_end, plan_run
from penstock.up.running_process import holder

if TYPE_CHECKING:
    from penstock.land.loop import Landed, Stop
    from penstock.ports import Destination, Rows, Source

ProjectLike = Project | str | os.PathLike[str]


def run(
    project: ProjectLike,
    *,
    streams: Sequence[str] = (),
    date: datetime.date | None = None,
    from_: datetime.date | None = None,
    to: datetime.date | None = None,
    models: bool = True,
    full_refresh: bool = False,
    destination: Destination | None = None,
    check: bool = True,
    listener: Listener | None = None,
    stop: Stop | None = None,
) -> Report:
    """Load, then transform, as ``penstock run`` does; again does nothing.

    Args:
        project: a project, or its folder.
        streams: the streams; all of them when none is named.
        date: the day to load, by event time; or ``from_`` and ``to``, which are both taken in.
        destination: where to land, in place of the project's own. No models are built then: dbt builds where the
            project says.
        check: raise what failed, once all else is done; without, it is the report's ``error``.

    Raises:
        PenstockError: what failed, unless ``check`` is false; what cannot be planned, in either case.
    """
    from penstock.land.session import Session
    from penstock.runs.batch import perform

    loaded = _project(project)
    planned = plan(
        loaded,
        streams=streams,
        date=date,
        from_=from_,
        to=to,
        models=models and destination is None,
        full_refresh=full_refresh,
    )
    with Session(loaded, destination=destination) as session:
        report = perform(planned, session, listener, stop=stop)
    if check:
        report.raise_for_error()
    return report


def plan(
    project: ProjectLike,
    *,
    streams: Sequence[str] = (),
    date: datetime.date | None = None,
    from_: datetime.date | None = None,
    to: datetime.date | None = None,
    models: bool = True,
    full_refresh: bool = False,
) -> RunPlan:
    """What :func:`run` would do, as data: its ``loads``, what is ``left_out`` since it never ends, and whether it
    builds ``models``.

    Raises:
        UsageError: no such stream, or days that none of them has.
    """
    window = day_window(date, from_, to)
    return plan_run(_project(project), streams, window=window, models=models, full_refresh=full_refresh)


def land(
    project: ProjectLike, stream: str, *, source: Source | None = None, destination: Destination | None = None
) -> Landed:
    """Land what is new in one stream, from its source, or from an object that is one.

    Args:
        project: a project, or its folder.
        stream: the stream.
        source: what has ``name``, ``failures``, ``read`` and ``acknowledge``, as ``penstock.ports.Source`` says.
        destination: where to land, in place of the project's own.

    Raises:
        PenstockError: what it failed of; what was committed before stays.
    """
    from penstock.land.session import Session

    loaded = _project(project)
    if source is None:
        planned = plan(loaded, streams=[stream], models=False)
        expect_end(loaded, planned.loads, planned.left_out)
        step, *others = planned.loads
        if others:
            raise UsageError(f"stream {stream} has several sources", fix=f'penstock.run(project, streams=["{stream}"])')
    else:
        if stream not in loaded.streams:
            raise UsageError(f"there is no stream {stream!r}", where=str(loaded.file), fix=", ".join(loaded.streams))
        step = LoadStep(stream=stream, source=source.name, land=loaded.streams[stream].land)
    with Session(loaded, destination=destination) as session:
        expect_copied(session.destination, loaded.target)
        landed = session.load(step, source=source)
    if landed.failure is not None:
        raise landed.failure
    return landed


def query(
    project: ProjectLike,
    sql: str,
    parameters: Sequence[Any] = (),
    *,
    show_pii: bool = False,
    read_only: bool = True,
) -> Rows:
    """Run one statement on the destination, as ``penstock query`` does. While ``penstock up`` has a DuckDB file, that
    process is asked.

    Args:
        project: a project, or its folder.
        sql: the statement.
        parameters: the values of its ``$1``, ``$2``.
        show_pii: whether values of the fields under ``pii:`` are given as they are; else they are masked.
        read_only: whether it runs in a transaction that can change nothing.

    Raises:
        DestinationError: there is no warehouse yet, or it refuses the statement.
    """
    loaded = _project(project)
    expect_warehouse(loaded.destination)
    running = holder(loaded)
    if running is not None:
        rows = running.query(sql, parameters, read_only=read_only)
    else:
        destination = open_destination(loaded.destination)
        try:
            rows = destination.query(sql, parameters, read_only=read_only)
        finally:
            destination.close()
    return rows if show_pii else masked_rows(loaded, rows, sql)


def _project(project: ProjectLike) -> Project:
    return project if isinstance(project, Project) else load_project(Path(project))
