"""The image's steps done by hand, and the platform's commands in what they make, on what the scripts make."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from penstock.testing.postgres import PrivatePostgres
from penstock.testing.private import free_port
from tests.support import compose
from tests.support.dockerfile import ByHand, Stage, account, health_command, ignored, stages
from tests.support.processes import wait_until

STATE = ".penstock"


@dataclass(frozen=True, kw_only=True)
class Image:
    """What the steps made: ``/project`` and the command's environment, and how the image says to run."""

    root: Path
    stage: Stage
    environ: Mapping[str, str]

    @property
    def project(self) -> Path:
        """The working directory."""
        return Path(f"{self.root}{self.stage.last('WORKDIR')}")

    def start(self, command: list[str], environ: Mapping[str, str], **said: Any) -> subprocess.Popen[str]:
        """A process as the image's user, with nothing of our own environment but the proxy's."""
        own = {"PATH", "LANG", "SSL_CERT_FILE"}
        variables = {**{k: v for k, v in os.environ.items() if k in own}, **self.environ, **environ}
        return subprocess.Popen(
            [shutil.which(command[0], path=variables["PATH"]) or command[0], *command[1:]],
            cwd=self.project, env=variables, text=True, **account(self.stage.last("USER")), **said,
        )  # fmt: skip

    def run(self, command: list[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """One that ends by itself."""
        process = self.start(command, environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = process.communicate(timeout=120)
        return subprocess.CompletedProcess(command, process.returncode, said)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The image ``platform``, by hand. Only what Compose mounts for writing can be written."""
    root = Path(tempfile.mkdtemp(prefix="penstock-image-"))
    root.chmod(0o755)
    found = stages()
    work = ByHand(root)
    for name in ("python", "wheel", "environment"):
        work.do(found[name])
        work.leave(name)
    # what lies beside a project and must not get into an image
    work.do(Stage(base="", steps=[s for s in found["clean"].steps if s[0] == "COPY"]))
    (root / "project" / ".env").write_text("PGPASSWORD=secret\n")
    (root / "project" / "warehouse.duckdb.wal").write_text("")
    (root / "project" / "lake").mkdir()
    work.do(Stage(base="", steps=[s for s in found["clean"].steps if s[0] == "RUN"]))
    work.leave("clean")
    for name in ("penstock", "platform"):
        work.do(found[name])
    (root / "project" / STATE).chmod(0o1777)
    (root / "project").chmod(0o555)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    yield Image(root=root, stage=found["penstock"], environ=work.environ | {"TMPDIR": str(root / "tmp")})
    (root / "project").chmod(0o755)
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What ``scripts/make_env`` makes."""
    return compose.make_env(tmp_path_factory.mktemp("env"))


@pytest.fixture(scope="module")
def database(variables: dict[str, str]) -> Iterator[PrivatePostgres]:
    """The server of the service ``postgres``, after its scripts."""
    environ = {k: str(v) for k, v in compose.services(variables)["postgres"]["environment"].items()}
    with PrivatePostgres() as server:
        code, said = compose.run_database_scripts(server, environ)
        assert code == 0, said
        compose.ask_for_passwords(server)
        yield server


def rows(database: PrivatePostgres, sql: str, **said: str) -> list[tuple[Any, ...]]:
    """What a login reads in the warehouse, the superuser without one."""
    at = make_conninfo(host="127.0.0.1", port=database.port, dbname="warehouse", **{"user": "postgres", **said})
    with psycopg.connect(at) as connection:
        return connection.execute(sql.encode()).fetchall()


def files_of(image: Image) -> set[str]:
    """All files but those of the places for writing."""
    writable = (image.project / STATE, image.root / "tmp")
    return {str(p) for p in image.root.rglob("*") if not any(p == w or w in p.parents for w in writable)}


@pytest.mark.slow
def test_what_is_in_it(image: Image) -> None:
    """The wheel and what is locked, chart drawing too; no pip, no build backend, no secret, no warehouse."""
    python = image.root / "opt" / "penstock" / "bin" / "python"
    said = subprocess.run(
        [python, "-c", "import json, importlib.metadata as m; print(json.dumps([d.name for d in m.distributions()]))"],
        capture_output=True, text=True, check=True, cwd=image.project,
    ).stdout  # fmt: skip
    installed = set(json.loads(said))
    assert {"penstock-elt", "dbt-postgres", "vl-convert-python"} <= installed
    assert not {"pip", "hatchling", "editables", "setuptools", "pytest"} & installed
    names = {p.name for p in image.project.iterdir()}
    assert {"penstock.yml", "penstock.platform.yml", "dbt_project.yml", "models", "data", STATE} <= names
    assert not {".env", "warehouse.duckdb.wal", "lake"} & names
    assert image.run([*json.loads(image.stage.last("ENTRYPOINT")), "--version"], {}).stdout.startswith("penstock ")


def test_context() -> None:
    """The build is given what it copies, and nothing that a working copy may hold beside it."""
    example = "examples/user_events"
    for inside in ("pyproject.toml", "src/penstock/py.typed", f"{example}/models/x.sql", "scripts/airflow/init"):
        assert not ignored(inside), inside
    beside = [f"{example}/{name}" for name in (".env", "warehouse.duckdb", ".penstock/up.json", "logs/dbt.log")]
    for outside in (".env", ".git/config", ".venv/bin/python", "tests/conftest.py", "src/__pycache__/a.pyc", *beside):
        assert ignored(outside), outside


def test_airflow_has_the_same() -> None:
    """Airflow's image gets Penstock by the very steps of Penstock's own, and ends as its own user."""
    found = stages()
    steps = [s for s in found["airflow"].steps if "/opt/penstock" in s[1] or "/wheels" in s[1] or "image.txt" in s[1]]
    assert [(w, said.replace("python3 ", "python ")) for w, said in steps] == found["environment"].steps
    assert found["airflow"].last("USER") == "50000:0"
    assert found["penstock"].last("USER") == "10001:10001"
    assert list(found)[-1] == "platform" and found["platform"].base == "penstock"


@pytest.mark.slow
def test_the_service(image: Image, variables: dict[str, str], database: PrivatePostgres, rabbitmq_url: str) -> None:
    """``penstock up`` in the image, with the environment of compose.yaml: healthy, then ready; files and messages land
    once, models follow, an analyst reads reports and nothing raw; and it ends in order, having written nowhere else."""
    services = compose.services(variables)
    service = services["penstock"]
    environ = {k: str(v) for k, v in service["environment"].items()}
    assert environ["PGHOST"] == "postgres" and "@rabbitmq:5672" in environ["RABBITMQ_URL"]
    # the names of services are Docker's to resolve
    environ |= {"PGHOST": "127.0.0.1", "PGPORT": str(database.port), "RABBITMQ_URL": rabbitmq_url}
    environ |= {"PENSTOCK__UP__PORT": str(free_port())}
    alive = health_command(image.stage.last("HEALTHCHECK"))
    ready = service["healthcheck"]["test"][1:]
    assert image.run(alive, environ).returncode == 1
    before = files_of(image)
    penstock = json.loads(image.stage.last("ENTRYPOINT"))
    log = image.root / "tmp" / "log"
    with log.open("w") as said:
        process = image.start(
            [*penstock, *json.loads(image.stage.last("CMD"))], environ, stdout=said, stderr=subprocess.STDOUT
        )
    try:
        for check in (alive, ready):
            wait_until(lambda c=check: image.run(c, environ).returncode == 0, f"{check}", seconds=120)  # type: ignore[misc]  # it cannot tell the default's type
        if os.geteuid() == 0:
            assert f"Uid:\t{image.stage.last('USER').split(':')[0]}" in Path(f"/proc/{process.pid}/status").read_text()
        published = image.run([*penstock, "publish", "user_events", "data/user_events"], environ)
        assert published.returncode == 0, published.stdout
        counted = "select coalesce(sum(duplicates), 0) from penstock.loads where stream = 'user_events'"
        wait_until(lambda: rows(database, counted)[0][0] >= 57, log.read_text(), seconds=120)
        assert rows(database, "select count(*) from raw.user_events") == [(57,)]
        built = "select to_regclass('reports.user_events_daily') is not null"
        wait_until(lambda: rows(database, built) == [(True,)], log.read_text(), seconds=120)
        granted = image.run([*penstock, *services["grants"]["command"]], environ)
        assert granted.returncode == 0, granted.stdout
        analyst = {"user": "analyst", "password": variables["ANALYST_PASSWORD"]}
        daily = "select count(*) from reports.user_events_daily"
        wait_until(lambda: rows(database, daily)[0][0] > 0, log.read_text(), seconds=60)
        assert rows(database, daily, **analyst) == rows(database, daily)
        for hidden in ("raw.user_events", "penstock.quarantine"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                rows(database, f"select * from {hidden}", **analyst)
        process.send_signal(signal.Signals[image.stage.last("STOPSIGNAL")])
        started = time.monotonic()
        assert process.wait(60) == 0, log.read_text()
        assert time.monotonic() - started < int(service["stop_grace_period"].removesuffix("s"))
    finally:
        process.kill()
        process.wait()
    assert image.run(alive, environ).returncode == 1
    assert files_of(image) == before
