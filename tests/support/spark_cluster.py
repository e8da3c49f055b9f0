"""A standalone Spark cluster of our own: a master and its workers on loopback, gone when the process is."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from penstock.testing.private import MissingServer, PrivateServer

CONF = {
    "spark.driver.memory": "1g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.executor.cores": "1",
    "spark.executor.memory": "640m",
    "spark.cores.max": "2",
    "spark.sql.shuffle.partitions": "2",
}
"""What sessions on it are started with: an executor a worker."""


class _Daemon(PrivateServer):
    """One Java process of the cluster."""

    start_seconds = 120
    interrupt = quit = signal.SIGTERM

    def _run(self, role: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
        found = find_spec("pyspark")
        if found is None or found.origin is None:
            raise MissingServer("pyspark is not installed", fix="make .venv-spark/spark.stamp")
        home = Path(found.origin).parent
        mine = {
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "256m",
            # names the folder, by which the sweeper knows the process
            "SPARK_DAEMON_JAVA_OPTS": f"-Djava.io.tmpdir={self.folder}",
        }
        command = [home / "bin" / "spark-class", f"org.apache.spark.deploy.{role}", "--host", "127.0.0.1", *arguments]
        return self._spawn(command, environment={**os.environ, **mine})


class _Master(_Daemon):
    name = "Spark-master"

    @property
    def url(self) -> str:
        """What sessions and workers call it."""
        return f"spark://127.0.0.1:{self.port}"

    def _launch(self) -> subprocess.Popen[bytes]:
        return self._run("master.Master", "--port", str(self.port), "--webui-port", "0")

    def _answers(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


class _Worker(_Daemon):
    name = "Spark-worker"

    def __init__(self, master: str) -> None:
        super().__init__()
        self._master = master

    def _launch(self) -> subprocess.Popen[bytes]:
        room = ("--cores", "1", "--memory", "1g", "--work-dir", self.folder, "--webui-port", "0")
        return self._run("worker.Worker", *room, self._master)

    def _answers(self) -> bool:
        return "Successfully registered with master" in self._log()


@contextmanager
def cluster(workers: int = 2) -> Iterator[str]:
    """The address of a master whose workers have come."""
    with ExitStack() as stack:
        master = stack.enter_context(_Master())
        for _ in range(workers):
            stack.enter_context(_Worker(master.url))
        yield master.url
