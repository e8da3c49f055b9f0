"""Lands what is new, each run the days of its data interval.

Written by `penstock airflow export`; do so again when streams or folders of models come or go.
Nothing of Penstock is imported: the tasks run its command, from whatever environment that is in.
"""

import shlex
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset, CronDataIntervalTimetable

NAME = "random_users"
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
# a run's days; nothing when it was started without a data interval
INTERVAL = (
    "{% if data_interval_start is defined and data_interval_start %}"
    " --from {{ (data_interval_start) | ds }}"
    " --to {{ ([data_interval_start, data_interval_end - macros.timedelta(microseconds=1)] | max) | ds }}"
    "{% endif %}"
)
TASKS = {
    "load_users": f"{PENSTOCK} load users {PROJECT}{INTERVAL}",
}

with DAG(
    dag_id=f"{NAME}_extract_load",
    description=f"Lands what is new in the streams of {NAME}.",
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=pendulum.datetime(2020, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=180), **MORE_ARGUMENTS},
    tags=["penstock"],
    max_active_tasks=1,
) as extract_load:
    loaded = BashOperator(
        task_id="loaded",
        bash_command=f"{PENSTOCK} status {PROJECT}",
        outlets=[RAW],
        **COMMON,
    )
    for task_id, command in TASKS.items():
        task = BashOperator(task_id=task_id, bash_command=command, **COMMON)
        task >> loaded
