"""A real Airflow: its commands, its scheduler, and what its metadata database says."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.processes import lives, wait_until

PENSTOCK = Path(sys.executable).parent / "penstock"
PARTS = ("api-server", "scheduler", "dag-processor")


@dataclass
class Airflow:
    """One Airflow home, on SQLite. ``command`` is Airflow's, in an environment that has neither dbt nor DuckDB."""

    command: str
    home: Path
    environ: dict[str, str] = field(default_factory=dict)
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        port = _free_port()
        (self.home / "dags").mkdir(parents=True, exist_ok=True)
        own = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "of-these-tests-only-and-long-enough-for-sha-512-" * 2,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "PATH": f"{PENSTOCK.parent}:{os.environ['PATH']}",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "PENSTOCK", "VIRTUAL_ENV"))}
        self.environ = {**kept, **own, **self.environ}

    def run(self, *arguments: str, seconds: float = 240, **environ: str) -> subprocess.CompletedProcess[str]:
        """A command of Airflow's, standard output and standard error in one."""
        return subprocess.run(
            [self.command, *arguments],
            env={**self.environ, **environ},
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=seconds,
        )

    def python(self, code: str, *arguments: str) -> str:
        """What a program prints in Airflow's environment."""
        done = subprocess.run(
            [str(Path(self.command).parent / "python"), "-c", code, *arguments],
            env=self.environ,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        """Start the scheduler and what it needs, each a process group of its own. A task whose API server is not up yet
        would fail its first try."""
        for part in PARTS:
            with (self.home / f"{part}.log").open("wb") as log:
                self._running.append(
                    subprocess.Popen(
                        [self.command, part],
                        env=self.environ,
                        cwd=self.home,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )
            if part == "api-server":
                wait_until(self._answers, "the API server does not answer", seconds=120)

    def stop(self) -> None:
        """Stop all that :meth:`start` began, by id: their own children too, which outlive a mere SIGTERM."""
        pids = _descendants([p.pid for p in self._running])
        for pid in pids:
            _signal(pid, signal.SIGTERM)
        give_up = time.monotonic() + 5
        while any(map(lives, pids)) and time.monotonic() < give_up:
            time.sleep(0.1)
            pids |= _descendants(list(pids))
        for pid in pids:
            _signal(pid, signal.SIGKILL)
        for process in self._running:
            process.wait(10)
        self._running.clear()

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of the metadata database."""
        with sqlite3.connect(f"file:{self.home}/airflow.db?mode=ro", uri=True, timeout=30) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(r) for r in connection.execute(sql, values)]

    def wait(self, sql: str, *values: Any, enough: int = 1, seconds: float = 400) -> list[dict[str, Any]]:
        """The rows of a statement, once there are enough."""
        give_up = time.monotonic() + seconds
        while True:
            found = self.rows(sql, *values)
            if len(found) >= enough:
                return found
            assert all(p.poll() is None for p in self._running), self.said()
            assert time.monotonic() < give_up, f"{sql} {values}: {found}\n{self.said()}"
            time.sleep(0.5)

    def said(self) -> str:
        """All states, and the end of each log."""
        runs = self.rows("select dag_id, run_id, state from dag_run")
        tasks = self.rows("select dag_id, run_id, task_id, state, try_number from task_instance")
        errors = self.rows("select filename, stacktrace from import_error")
        logs = [f"{p}:\n{p.read_text(errors='replace')[-3_000:]}" for p in sorted(self.home.rglob("*.log"))]
        return "\n".join([*map(str, [*runs, *tasks, *errors]), *logs])

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", int(self.environ["AIRFLOW__API__PORT"])), timeout=1):
                return True
        except OSError:
            return False

    def task_log(self, dag_id: str, task_id: str, run_id: str, attempt: int = 1) -> str:
        """The log of one attempt at a task."""
        folder = self.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
        return (folder / f"attempt={attempt}.log").read_text(encoding="utf-8", errors="replace")


def migrated(command: str, home: Path) -> Airflow:
    """An Airflow whose database is set up and empty."""
    airflow = Airflow(command=command, home=home)
    done = airflow.run("db", "migrate")
    assert done.returncode == 0, done.stdout
    return airflow


def copy_of(airflow: Airflow, home: Path, environ: Mapping[str, str] | None = None) -> Airflow:
    """Another, with a database of its own."""
    home.mkdir(parents=True)
    shutil.copy(airflow.home / "airflow.db", home / "airflow.db")
    return Airflow(command=airflow.command, home=home, environ=dict(environ or {}))


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _descendants(pids: list[int]) -> set[int]:
    """The processes and all that they started, also in other groups."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found: set[int] = set()
    waiting = [pid for pid in pids if lives(pid)]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += parents.get(pid, [])
    return found


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
