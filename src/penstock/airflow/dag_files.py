"""DAG files that import nothing of Penstock: for an Airflow whose environment does not have it.

``penstock.airflow.dags.penstock_dags`` has them made anew each time, and runs them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from string import Template
from textwrap import indent

from penstock.airflow.dags import MORE_ARGUMENTS, PROJECTS
from penstock.airflow.pipeline import Asked, Loads, Pipeline, Task, Timing, read_pipeline
from penstock.errors import UsageError

START_DAY = date(2020, 1, 1)
TAG = "penstock"
FULL_REFRESH = "{% if params.full_refresh %} --full-refresh{% endif %}"
"""Of a transform: what the run's parameter asks for."""
FILES = ("extract_load_pipeline.py", "transform_pipeline.py")
MARK = "Written by `penstock airflow export`"
FOLDER = "dags"

_HEAD = Template('''"""$purpose

$mark; do so again when streams or folders of models come or go.
Nothing of Penstock is imported: the tasks run its command, from whatever environment that is in.
"""

import shlex
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import $names

NAME = $name
PENSTOCK = $penstock
DIRECTORY = $path
PROJECT = f"--project-dir {shlex.quote(str(DIRECTORY))}"
COMMON = {
    "env": $environment,
    "append_env": True,
    "do_xcom_push": False,
}
$more_arguments
RAW = Asset(name=f"{NAME}_raw", uri=f"penstock://{NAME}/raw")
''')

_INTERVAL = Template("""# a run's days; nothing when it was started without a data interval
INTERVAL = (
$interval
)
""")

_LOAD = Template("""TASKS = {
$tasks
}

with DAG(
    dag_id=f"{NAME}_extract_load$suffix",
    description=f"Lands what is new in the streams of {NAME}.",
    schedule=$schedule,
$common$one_at_a_time
) as extract_load$suffix:
    loaded = BashOperator(
        task_id="$loaded",
        bash_command=$loaded_command,
        outlets=[RAW],
        **COMMON,
    )
    for task_id, command in TASKS.items():
        task = BashOperator(task_id=task_id, bash_command=command, **COMMON)
        task >> loaded
""")

_TRANSFORM = Template("""FULL_REFRESH = "$full_refresh"
# in the order to build them, each one dbt process
TASKS = {
$tasks
}

with DAG(
    dag_id=f"{NAME}_transform",
    description=f"Builds and tests the models of {NAME} that new loads touch.",
    schedule=$schedule,
    params={"full_refresh": Param(False, type="boolean", description="Build every model anew.")},
$common
) as transform:
    before = None
    for task_id, command in TASKS.items():
        task = BashOperator(task_id=task_id, bash_command=command, **COMMON)
        if before is not None:
            before >> task
        before = task
""")

_COMMON = Template("""    start_date=$start,
    catchup=$catchup,
    max_active_runs=1,
    default_args={"retries": $retries, "retry_delay": timedelta(seconds=$delay), **MORE_ARGUMENTS},
    tags=["$tag"],""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What the DAG files say beyond the project's own; see ``penstock_dags``.

    ``project_path`` is the project's folder where the tasks run. By default it is the folder above the DAG files when
    they lie in the project's own ``dags``, else the project's folder as it is here.
    """

    schedule: str | timedelta | None = PROJECTS
    timezone: str | None = None
    start_date: date = START_DAY
    catchup: bool = False
    retries: int | None = None
    retry_delay: timedelta | None = None
    lookback_days: int | None = None
    target: str | None = None
    penstock: str = "penstock"
    layers: bool = True
    project_path: str | None = None


_DEFAULT = Export()


def dag_texts(directory: Path, folder: Path, export: Export = _DEFAULT) -> dict[str, str]:
    """The DAG files of the project in ``directory``, to lie in ``folder``: name → text.

    Raises:
        ProjectError: ``penstock.yml`` is unreadable, or has no name or no stream.
        UsageError: ``dbt_project.yml`` is unreadable, or a value is out of range.
    """
    directory = directory.absolute()
    asked = Asked(
        schedule=export.schedule,
        timezone=export.timezone,
        retries=export.retries,
        retry_delay=export.retry_delay,
        lookback_days=export.lookback_days,
    )
    pipeline = read_pipeline(directory, target=export.target, layers=export.layers, asked=asked)
    if export.project_path is None and folder.absolute() == directory / FOLDER:
        path = "Path(__file__).resolve().parents[1]"
    else:
        path = f"Path({_quoted(export.project_path or str(directory))})"
    texts = {FILES[0]: _load_text(pipeline, path, export)}
    if pipeline.transforms:
        texts[FILES[1]] = _transform_text(pipeline, path, export)
    return texts


def write_dags(directory: Path, folder: Path, export: Export = _DEFAULT, *, force: bool = False) -> list[Path]:
    """Write :func:`dag_texts` into ``folder`` and return the files.

    Raises:
        UsageError: a file of that name was not written by this, and ``force`` is not given; or it cannot be written.
    """
    texts = {folder / name: text for name, text in dag_texts(directory, folder, export).items()}
    for path in texts:
        if not force and path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
            raise UsageError(
                "is there, and was not exported by Penstock", where=str(path), fix="move it, or write over it: --force"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    except OSError as e:
        raise UsageError(
            f"cannot be written: {e.strerror}", where=str(e.filename or folder), fix="choose another folder: --dags DIR"
        ) from None
    return list(texts)


def _load_text(pipeline: Pipeline, path: str, export: Export) -> str:
    names = {"DAG", "Asset", *(_timetable(loads.timing).partition("(")[0] for loads in pipeline.loads)}
    return _head(
        pipeline, path, export, "Lands what is new, each run the days of its data interval.", names
    ) + "\n".join(_load_dag(loads, pipeline, export) for loads in pipeline.loads)


def _load_dag(loads: Loads, pipeline: Pipeline, export: Export) -> str:
    interval = indent("\n".join(_pieces(_interval_options(loads.timing.lookback_days))), "    ")
    return _INTERVAL.substitute(interval=interval) + _LOAD.substitute(
        suffix=loads.suffix,
        tasks="\n".join(_tasks(loads.tasks, "")),
        schedule=_timetable(loads.timing),
        common=_common(loads.timing, export),
        one_at_a_time="\n    max_active_tasks=1," if pipeline.one_at_a_time else "",
        loaded=pipeline.loaded.id,
        loaded_command=_command(pipeline.loaded),
    )


def _transform_text(pipeline: Pipeline, path: str, export: Export) -> str:
    timetable = _timetable(pipeline.timing)
    timed = not pipeline.timing.by_hand
    text = _TRANSFORM.substitute(
        full_refresh=FULL_REFRESH,
        tasks="\n".join(_tasks(pipeline.transforms, "{FULL_REFRESH}")),
        schedule=f"AssetOrTimeSchedule(timetable={timetable}, assets=RAW)" if timed else "RAW",
        common=_common(pipeline.timing, export),
    )
    names = {"DAG", "Asset", "Param", timetable.partition("(")[0]} | ({"AssetOrTimeSchedule"} if timed else set())
    purpose = "Builds the models that new loads touch, as soon as they have landed."
    return _head(pipeline, path, export, purpose, names) + text


def _head(pipeline: Pipeline, path: str, export: Export, purpose: str, names: Set[str]) -> str:
    return _HEAD.substitute(
        purpose=purpose,
        mark=MARK,
        more_arguments=MORE_ARGUMENTS,
        names=", ".join(sorted(names - {"None"}, key=lambda name: (not name.isupper(), name))),
        name=_quoted(pipeline.name),
        penstock=_quoted(export.penstock),
        path=path,
        environment=json.dumps(dict(pipeline.environment), ensure_ascii=False),
    )


def _common(timing: Timing, export: Export) -> str:
    start = export.start_date
    return _COMMON.substitute(
        start=f"pendulum.parse({_quoted(start.isoformat())})"
        if isinstance(start, datetime)
        else f'pendulum.datetime({start.year}, {start.month}, {start.day}, tz="UTC")',
        catchup=export.catchup,
        retries=timing.retries,
        delay=f"{timing.retry_delay.total_seconds():g}",
        tag=TAG,
    )


def _timetable(timing: Timing) -> str:
    if timing.every is not None:
        return f"DeltaDataIntervalTimetable(timedelta(seconds={timing.every.total_seconds():g}))"
    if timing.cron is None:
        return "None"
    return f"CronDataIntervalTimetable({_quoted(timing.cron)}, timezone={_quoted(timing.timezone)})"


def _tasks(tasks: Iterable[Task], after: str) -> Iterator[str]:
    for task in tasks:
        yield f"    {_quoted(task.id)}: {_command(task, after or ('{INTERVAL}' if task.dated else ''))},"


def _command(task: Task, after: str = "") -> str:
    words = _quoted(task.command)[1:-1].replace("{", "{{").replace("}", "}}")
    return f'f"{{PENSTOCK}} {words} {{PROJECT}}{after}"'


def _interval_options(lookback_days: int) -> str:
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


def _pieces(template: str) -> Iterator[str]:
    """The template over several lines, cut before each of its options and tags."""
    for piece in template.replace(" --", "\n --").replace("{% endif", "\n{% endif").split("\n"):
        yield _quoted(piece)


def _quoted(text: str) -> str:
    """A string of Python, in the quotes that formatters put."""
    return json.dumps(text, ensure_ascii=False)
