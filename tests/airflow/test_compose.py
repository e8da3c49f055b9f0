"""The Airflow of compose.yaml, service by service, in a real Airflow on PostgreSQL."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock.testing.postgres import PrivatePostgres
from penstock.testing.private import free_port
from tests.support import compose
from tests.support.airflow_home import PENSTOCK, Airflow
from tests.support.compose import ROOT
from tests.support.processes import wait_until

EXAMPLE = ROOT / "examples" / "user_events"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[PrivatePostgres]:
    """The service ``postgres``, after its scripts."""
    variables = compose.make_env(tmp_path)
    with PrivatePostgres() as server:
        code, said = compose.run_database_scripts(server, compose.services(variables)["postgres"]["environment"])
        assert code == 0, said
        compose.ask_for_passwords(server)
        yield server


@pytest.fixture
def platform(database: PrivatePostgres, tmp_path: Path) -> Iterator[tuple[Airflow, dict[str, dict[str, Any]]]]:
    """An Airflow with the services' environment, whose hosts and ports are ours, and the services."""
    api, scheduler = free_port(), free_port()
    ours = {
        "@postgres:5432": f"@127.0.0.1:{database.port}",
        "airflow-api:8080": f"127.0.0.1:{api}",
        "localhost:8080": f"127.0.0.1:{api}",
        "localhost:8974": f"127.0.0.1:{scheduler}",
    }
    text = json.dumps(compose.services(compose.variables_of(tmp_path / ".env")))
    for theirs, own in ours.items():
        assert theirs in text
        text = text.replace(theirs, own)
    services: dict[str, dict[str, Any]] = json.loads(text)
    environ = {
        **services["airflow-init"]["environment"],
        "PGHOST": "127.0.0.1",
        "PGPORT": str(database.port),
        "AIRFLOW__API__PORT": str(api),
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(scheduler),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "airflow" / "dags"),
        "AIRFLOW__CORE__PARALLELISM": "2",
        "HOSTNAME": socket.gethostname(),
        "PENSTOCK": str(PENSTOCK),
        "PENSTOCK_PROJECT_DIR": str(EXAMPLE),
    }
    command = os.environ["PENSTOCK_TEST_AIRFLOW"]
    environ["PATH"] = f"{Path(command).parent}{os.pathsep}{os.environ['PATH']}"
    airflow = Airflow(command=command, home=tmp_path / "airflow", environ={k: str(v) for k, v in environ.items()})
    yield airflow, services
    airflow.stop()


@pytest.mark.timeout(900)
def test_services(platform: tuple[Airflow, dict[str, dict[str, Any]]], database: PrivatePostgres) -> None:
    """``airflow-init`` makes database, user and DAGs, twice too; then each service becomes healthy by its own check,
    the user can log in, and the DAGs are there."""
    airflow, services = platform
    for _ in range(2):
        done = subprocess.run(
            [ROOT / "scripts" / "airflow" / "init"],
            env=airflow.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        assert airflow.environ["AIRFLOW_ADMIN_PASSWORD"] not in done.stdout
    airflow.start()
    for name in ("airflow-api", "airflow-scheduler", "airflow-dag-processor"):
        check = services[name]["healthcheck"]["test"]
        command = check[1:] if check[0] == "CMD" else ["/bin/sh", "-c", check[1]]
        wait_until(lambda c=command: _succeeds(c, airflow), f"{name} is not healthy: {check}", seconds=300)  # type: ignore[misc]  # it cannot tell the default's type
    assert _login(airflow, airflow.environ["AIRFLOW_ADMIN_PASSWORD"]) == 201
    assert _login(airflow, "another") == 401
    with psycopg.connect(database.url_of("airflow")) as metadata:
        wait_until(
            lambda: (
                metadata.execute("select dag_id from dag order by 1").fetchall()
                == [("user_events_extract_load",), ("user_events_transform",)]
            ),
            "the DAGs are not there",
            seconds=300,
        )
        assert metadata.execute("select * from import_error").fetchall() == []


def _succeeds(command: list[str], airflow: Airflow) -> bool:
    return subprocess.run(command, env=airflow.environ, capture_output=True, check=False).returncode == 0


def _login(airflow: Airflow, password: str) -> int:
    request = urllib.request.Request(
        f"{airflow.environ['AIRFLOW__API__BASE_URL']}/auth/token",
        data=json.dumps({"username": airflow.environ["AIRFLOW_ADMIN_USER"], "password": password}).encode(),
        headers={"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as e:
        return e.code
