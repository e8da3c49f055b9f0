"""DAGs of a project, for Apache Airflow 3.

A DAG file is three lines, and is read without dbt, a driver or a warehouse::

    from penstock.airflow.dags import penstock_dags

    penstock_dags("/srv/projects/user_events")

This module is imported in Airflow's environment. There, Penstock needs to be installed without what it depends on;
the commands run in whatever environment ``penstock`` is in. ``penstock airflow export`` writes DAG files that do not
import Penstock at all.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.airflow.pipeline import PROJECTS, Asked, Timing, read_pipeline
from penstock.errors import UsageError

if TYPE_CHECKING:
    from airflow.sdk import DAG

START_DATE = datetime(2020, 1, 1, tzinfo=UTC)

TAG = "penstock"
FULL_REFRESH = "{% if params.full_refresh %} --full-refresh{% endif %}"
"""Of a transform: what the run's parameter asks for."""


def interval_options(lookback_days: int) -> str:
    """``--from`` and ``--to`` of a run, as Airflow's template; nothing in a run without a data interval.

    An interval ends before its end, and ``--to`` takes its day in. The days of the lookback before it are asked for
    again though earlier runs did.
    """
    again = f" --lookback {lookback_days:d}" if lookback_days else ""
    back = f" - macros.timedelta(days={lookback_days:d})" if lookback_days else ""
    last = "([data_interval_start, data_interval_end - macros.timedelta(microseconds=1)] | max)"
    return (
        "{% if data_interval_start is defined and data_interval_start %}"
        f" --from {{{{ (data_interval_start{back}) | ds }}}} --to {{{{ {last} | ds }}}}{again}"
        "{% endif %}"
    )


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
        penstock: the command, such as ``/opt/penstock/bin/penstock`` where it is not on the tasks' ``PATH``.
        layers: whether each layer of models is a task of its own, which is one dbt process.
        default_args: more of Airflow's arguments for every task, such as ``queue`` or ``on_failure_callback``.

    Raises:
        ProjectError: ``penstock.yml`` is unreadable, or has no name or no stream.
        UsageError: ``dbt_project.yml`` is unreadable, or a value is out of range.
    """
    directory = Path(project_dir).absolute()
    if (lookback_days or 0) < 0 or (retries or 0) < 0:
        raise UsageError("lookback_days and retries count from 0", fix="give 0 or more")
    asked = Asked(
        schedule=schedule,
        timezone=timezone,
        retries=retries,
        retry_delay=retry_delay,
        lookback_days=lookback_days,
    )
    pipeline = read_pipeline(directory, target=target, layers=layers, asked=asked)

    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, Param

    def common(timing: Timing) -> dict[str, Any]:
        tries = {"retries": timing.retries, "retry_delay": timing.retry_delay}
        return {
            "start_date": start_date,
            "catchup": catchup,
            "max_active_runs": 1,
            "default_args": {**tries, **(default_args or {})},
            "tags": [TAG],
        }

    every: dict[str, Any] = {"env": dict(pipeline.environment), "append_env": True, "do_xcom_push": False}
    project = f"--project-dir {shlex.quote(str(directory))}"
    raw = Asset(name=f"{pipeline.name}_raw", uri=f"penstock://{pipeline.name}/raw")
    dags = {}
    for loads in pipeline.loads:
        with DAG(
            dag_id=f"{pipeline.name}_extract_load{loads.suffix}",
            description=f"Lands what is new in the streams of {pipeline.name}.",
            schedule=_timetable(loads.timing),
            **common(loads.timing),
            **({"max_active_tasks": 1} if pipeline.one_at_a_time else {}),
        ) as load:
            loaded = BashOperator(
                task_id=pipeline.loaded.id,
                bash_command=f"{penstock} {pipeline.loaded.command} {project}",
                outlets=[raw],
                **every,
            )
            for task in loads.tasks:
                dated = interval_options(loads.timing.lookback_days) if task.dated else ""
                command = f"{penstock} {task.command} {project}{dated}"
                BashOperator(task_id=task.id, bash_command=command, **every) >> loaded
        dags[load.dag_id] = load
    if pipeline.transforms:
        timetable = _timetable(pipeline.timing)
        with DAG(
            dag_id=f"{pipeline.name}_transform",
            description=f"Builds and tests the models of {pipeline.name} that new loads touch.",
            schedule=raw if timetable is None else AssetOrTimeSchedule(timetable=timetable, assets=raw),
            params={"full_refresh": Param(False, type="boolean", description="Build every model anew.")},
            **common(pipeline.timing),
        ) as transform:
            before = None
            for task in pipeline.transforms:
                command = f"{penstock} {task.command} {project}{FULL_REFRESH}"
                operator = BashOperator(task_id=task.id, bash_command=command, **every)
                if before is not None:
                    before >> operator
                before = operator
        dags[transform.dag_id] = transform
    return dags


def _timetable(timing: Timing) -> Any:
    """The timetable that gives each run the interval since the one before, which a bare expression does not."""
    from airflow.sdk import CronDataIntervalTimetable, DeltaDataIntervalTimetable

    if timing.every is not None:
        return DeltaDataIntervalTimetable(timing.every)
    return None if timing.cron is None else CronDataIntervalTimetable(timing.cron, timezone=timing.timezone)
