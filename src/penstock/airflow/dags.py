"""DAGs of a project, for Apache Airflow 3.

A DAG file is three lines::

    from penstock.airflow.dags import penstock_dags

    penstock_dags("/srv/projects/user_events")

This module is imported in Airflow's environment. There, Penstock needs to be installed without what it depends on; the
commands run in whatever environment ``penstock`` is in, and so does ``penstock airflow export``, which plans the DAGs
and writes them as files that do not import Penstock at all.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import UsageError

if TYPE_CHECKING:
    from airflow.sdk import DAG

START_DATE = datetime(2020, 1, 1, tzinfo=UTC)
PROJECTS = "project"
"""The schedule that the project itself says."""
MORE_ARGUMENTS = "MORE_ARGUMENTS = {}"
"""The line of an exported file that stands for more of Airflow's arguments for every task."""
_PATIENCE_SECONDS = 60.0


def penstock_dags(
    project_dir: str | os.PathLike[str],
    *,
    schedule: str | timedelta | None = PROJECTS,
    timezone: str | None = None,
    start_date: datetime = START_DATE,
    catchup: bool = False,
    retries: int | None = None,
    retry_delay: timedelta | None = None,
    lookback_days: int | None = None,
    target: str | None = None,
    penstock: str = "penstock",
    layers: bool = True,
    default_args: Mapping[str, Any] | None = None,
) -> dict[str, DAG]:
    """The DAGs ``<name>_extract_load`` and ``<name>_transform`` of a project, by their ids; Airflow finds them itself.

    A run of the first lands the days of its data interval, each stream in a task of its own, and then updates the asset
    ``<name>_raw``. The second runs on the same schedule and whenever that asset was updated, one task a layer. Each of
    them has one run at a time. A stream that says a schedule of its own has a DAG of its own,
    ``<name>_extract_load_<stream>``, which updates the same asset.

    Args:
        project_dir: the folder of ``penstock.yml``, here and where the tasks run.
        schedule: ``project`` for what ``penstock.yml`` says, ``@daily`` if that says nothing; or, for all streams, a
            cron expression, a preset such as ``@hourly``, ``every 5m``, a fixed period, or None for runs by hand alone.
        timezone: the cron expression's; by default the project's, or UTC.
        start_date: the beginning of the first data interval; runs for days before it have no tasks.
        catchup: whether to make up for the intervals since ``start_date`` that had no run.
        retries, retry_delay: how often a task that failed is tried again, and how long after; by default as the
            project's schedule says, else 3 times and 3 minutes.
        lookback_days: so many days before the data interval are loaded too, for records that come late; by default as
            the project's schedule says, else as the longest ``overlap`` of its API's windows does.
        target: the destination, over the project's own.
        penstock: the command, such as ``/opt/penstock/bin/penstock`` where it is not on the ``PATH``, here and where
            the tasks run.
        layers: whether each layer of models is a task of its own, which is one dbt process.
        default_args: more of Airflow's arguments for every task, such as ``queue`` or ``on_failure_callback``.

    Raises:
        UsageError: the command is not there, or has said what is wrong with the project or a value.
    """
    if (lookback_days or 0) < 0 or (retries or 0) < 0:
        raise UsageError("lookback_days and retries count from 0", fix="give 0 or more")
    given = {
        "schedule": _schedule(schedule),
        "timezone": timezone,
        "start-date": start_date.isoformat(),
        "catchup": catchup,
        "retries": retries,
        "retry-delay": None if retry_delay is None else retry_delay.total_seconds(),
        "lookback-days": lookback_days,
        "target": target,
        "penstock": penstock,
        "one-transform": not layers,
    }
    from airflow.sdk import DAG

    dags: dict[str, DAG] = {}
    for path, text in _exported(penstock, Path(project_dir).absolute(), given):
        names: dict[str, Any] = {"MORE_ARGUMENTS": dict(default_args or {})}
        exec(compile(text.replace(MORE_ARGUMENTS, ""), path, "exec"), names)  # noqa: S102 - our own command wrote it
        dags |= {dag.dag_id: dag for dag in names.values() if isinstance(dag, DAG)}
    return dags


def _schedule(schedule: str | timedelta | None) -> str:
    if isinstance(schedule, timedelta):
        return f"every {schedule.total_seconds():g}s"
    return "none" if schedule is None else schedule


def _exported(penstock: str, project: Path, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The DAG files that the command writes of the project: names and texts."""
    options = [
        f"--{name}" if value is True else f"--{name}={value}"
        for name, value in given.items()
        if value is not None and value is not False
    ]
    with tempfile.TemporaryDirectory() as folder:
        where = ["--project-dir", str(project), "--project-path", str(project), "--dags", folder]
        command = [*shlex.split(penstock), "airflow", "export", *where, *options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS)
        except OSError as e:
            fix = 'say where it is: penstock="/opt/penstock/bin/penstock"'
            raise UsageError(f"cannot be started: {e.strerror}", where=penstock, fix=fix) from None
        if done.returncode:
            raise UsageError(done.stderr.strip().removeprefix("error: "), where=shlex.join(command))
        for path in sorted(Path(folder).glob("*.py")):
            yield path.name, path.read_text(encoding="utf-8")
