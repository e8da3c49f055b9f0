"""Builds the models that new loads touch, as soon as they have landed.

Written by `penstock airflow export`; do so again when streams or folders of models come or go.
Nothing of Penstock is imported: the tasks run its command, from whatever environment that is in.
"""

import shlex
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, CronDataIntervalTimetable, Param

NAME = "user_events"
PENSTOCK = "penstock"
DIRECTORY = Path(__file__).resolve().parents[1]
PROJECT = f"--project-dir {shlex.quote(str(DIRECTORY))}"
COMMON = {
    "env": {"PENSTOCK__DESTINATIONS__LOCAL__LOCK_TIMEOUT_SECONDS": "1800"},
    "append_env": True,
    "do_xcom_push": False,
}
MORE_ARGUMENTS = {}
RAW = Asset(name=f"{NAME}_raw", uri=f"penstock://{NAME}/raw")
FULL_REFRESH = "{% if params.full_refresh %} --full-refresh{% endif %}"
# in the order to build them, each one dbt process
TASKS = {
    "transform_staging": f"{PENSTOCK} transform --layer staging --nodes {PROJECT}{FULL_REFRESH}",
    "transform_historical": f"{PENSTOCK} transform --layer historical --nodes {PROJECT}{FULL_REFRESH}",
    "transform_reports": f"{PENSTOCK} transform --layer reports --nodes {PROJECT}{FULL_REFRESH}",
    "transform_snapshots": f"{PENSTOCK} transform --layer snapshots --nodes {PROJECT}{FULL_REFRESH}",
    "transform_dimensional": f"{PENSTOCK} transform --layer dimensional --nodes {PROJECT}{FULL_REFRESH}",
    "transform_crm": f"{PENSTOCK} transform --layer crm --nodes {PROJECT}{FULL_REFRESH}",
}

with DAG(
    dag_id=f"{NAME}_transform",
    description=f"Builds and tests the models of {NAME} that new loads touch.",
    schedule=AssetOrTimeSchedule(timetable=CronDataIntervalTimetable("@daily", timezone="UTC"), assets=RAW),
    params={"full_refresh": Param(False, type="boolean", description="Build every model anew.")},
    start_date=pendulum.datetime(2020, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=180), **MORE_ARGUMENTS},
    tags=["penstock"],
) as transform:
    before = None
    for task_id, command in TASKS.items():
        task = BashOperator(task_id=task_id, bash_command=command, **COMMON)
        if before is not None:
            before >> task
        before = task
