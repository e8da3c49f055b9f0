"""``penstock`` as a process that has imported everything already: forked, so that what a command prints, exits with and
leaves behind is that of a process of its own, without the second that imports take, and the seconds that dbt takes for
its own macros.

What needs a terminal, a pipe or something on its standard input has to start a process of Python's; so do a few others,
which show that this makes no difference.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

import penstock as penstock_package

_HEAVY = ("duckdb", "psycopg", "pyarrow", "dbt.cli.main", "dbt.adapters.duckdb", "dbt.adapters.postgres")
_APART = ("penstock.__main__", "penstock.dbt", "penstock.airflow", "penstock.testing")


class Started:
    """A command that runs: as much of a ``subprocess.Popen`` as tests need.

    Args:
        folder: where it runs.
        arguments: what stands after ``penstock``.
        environ: further variables.
        outputs: the files that take its standard output and standard error, which else are the tests' own.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        outputs: tuple[Path, Path] | None = None,
    ) -> None:
        self.args = ["penstock", *arguments]
        self._process = _server().Process(
            target=_perform, args=(folder, arguments, {**os.environ, **(environ or {})}, outputs), daemon=True
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """What it exited with, or the negative number of the signal that ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            TimeoutExpired: it still runs after as many seconds.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def penstock(
    folder: Path, *arguments: str, environ: Mapping[str, str] | None = None, timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run a command in ``folder``, with nothing on its standard input.

    Args:
        folder: where it runs.
        arguments: what stands after ``penstock``.
        environ: further variables.
        timeout: the seconds after which it is killed.

    Raises:
        TimeoutExpired: it took longer.
    """
    with tempfile.TemporaryDirectory() as directory:
        outputs = (Path(directory) / "stdout", Path(directory) / "stderr")
        started = Started(folder, *arguments, environ=environ, outputs=outputs)
        try:
            code = started.wait(timeout)
        except BaseException:
            started.kill()
            started.wait()
            raise
        printed = [path.read_text(encoding="utf-8") if path.exists() else "" for path in outputs]
        return subprocess.CompletedProcess(started.args, code, *printed)


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    modules = (module.name for module in pkgutil.walk_packages(penstock_package.__path__, "penstock."))
    context.set_forkserver_preload(
        ["__main__", *(m for m in modules if not m.startswith(_APART)), *_HEAVY, "tests.support.warm"]
    )
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # which Python 3.11 does not hand on by itself
    try:
        forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return context


def _perform(
    folder: Path, arguments: tuple[str, ...], environ: Mapping[str, str], outputs: tuple[Path, Path] | None
) -> None:
    for number, path in enumerate(outputs or (), 1):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["penstock", *arguments]

    from penstock import faults
    from penstock.cli import main
    from penstock.lineage.emitter import close_all

    importlib.reload(faults)  # it reads its variable on import
    try:
        main()
    finally:
        close_all()  # what is registered for the end of a process is not done at that of a forked one
