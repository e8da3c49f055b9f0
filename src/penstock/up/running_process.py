"""Finds the ``penstock up`` of a project, and asks it what only the process that holds the warehouse can answer."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.destinations.kinds import kind_of
from penstock.errors import DestinationError
from penstock.system import is_alive
from penstock.transform.workspace import FOLDER
from penstock.up.wire import as_json, load_rows

if TYPE_CHECKING:
    from penstock.ports import Rows
    from penstock.project import Project

FILE = "up.json"
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A process that is up: who it is and where it answers. ``token`` is its owner's secret."""

    pid: int
    target: str
    host: str
    port: int
    token: str

    def __repr__(self) -> str:
        return f"Running(pid={self.pid}, target={self.target!r}, url={self.url!r})"

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def query(self, sql: str, parameters: Sequence[Any] = (), *, read_only: bool = False) -> Rows:
        """Run one statement there, as the destination's own ``query`` does.

        Raises:
            DestinationError: the warehouse refused it, or the process has ended meanwhile.
        """
        question = {"sql": sql, "parameters": as_json(parameters), "read_only": read_only}
        return load_rows(self._ask("POST", "/query", json.dumps(question).encode()))

    def status(self) -> dict[str, Any]:
        """Its parts, and the ledger as :func:`penstock.doctor.status.read_status` gives it, times as text."""
        status: dict[str, Any] = json.loads(self._ask("GET", "/status"))
        return status

    def run(self, streams: Sequence[str]) -> list[dict[str, Any]]:
        """Have it run what is scheduled now, of these streams or of all, and wait; the runs as the ledger has them.

        Raises:
            DestinationError: no schedule loads that, or the process has ended meanwhile.
        """
        runs: list[dict[str, Any]] = json.loads(
            self._ask("POST", "/run", json.dumps({"streams": list(streams)}).encode())
        )
        return runs

    def answers(self) -> bool:
        """Whether it is there."""
        try:
            return self._call("GET", "/healthz", None, _CONNECT_SECONDS)[0] == 200
        except OSError:
            return False

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        try:
            status, content = self._call(method, path, body, None)
        except (OSError, http.client.HTTPException) as e:
            raise DestinationError(
                f"penstock up, process {self.pid}, did not answer: {e}", where=self.url, fix="ask again"
            ) from None
        if status != 200:
            try:
                error = json.loads(content)
            except ValueError:
                error = {}
            raise DestinationError(
                error.get("what", f"answered {status}"), where=error.get("where", self.url), fix=error.get("fix", "")
            )
        return content

    def _call(self, method: str, path: str, body: bytes | None, timeout: float | None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {self.token}"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def running_process(project: Project) -> Running | None:
    """The process that is up for the project and its target, if there is one."""
    try:
        running = Running(**json.loads(_path(project).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return running if is_alive(running.pid) and running.target == project.target and running.answers() else None


def holder(project: Project) -> Running | None:
    """The process that has the project's warehouse to itself, which is asked in the warehouse's place.

    None where this process can open the warehouse: nobody is up, or others may be in it at the same time.
    """
    return running_process(project) if kind_of(project.destination).capabilities.one_process else None


def announce(project: Project, running: Running) -> None:
    """Write down where this process answers, readable by its owner only."""
    path = _path(project)
    path.parent.mkdir(exist_ok=True)
    new = path.with_name(f"{FILE}.{running.pid}")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(running), file)
    new.replace(path)


def withdraw(project: Project) -> None:
    """Take that back."""
    _path(project).unlink(missing_ok=True)


def _path(project: Project) -> Path:
    return project.directory / FOLDER / FILE
