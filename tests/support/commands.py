"""``penstock`` as a process that has imported everything already: forked, so that what a command prints, exits with and
leaves behind is that of a process of its own, without the second that imports take.

What is read from the environment on import, such as ``PENSTOCK_FAULT``, is that of the tests. What needs another value,
a terminal or a signal has to start a process.
"""

from __future__ import annotations

import multiprocessing
import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

import penstock as penstock_package

_HEAVY = ("duckdb", "psycopg", "pyarrow", "dbt.cli.main", "dbt.adapters.duckdb", "dbt.adapters.postgres")
_APART = ("penstock.__main__", "penstock.dbt", "penstock.airflow", "penstock.testing")


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
        outputs = [Path(directory) / name for name in ("stdout", "stderr")]
        process = _server().Process(
            target=_perform, args=(folder, arguments, {**os.environ, **(environ or {})}, outputs), daemon=False
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(["penstock", *arguments], timeout)
        printed = [path.read_text(encoding="utf-8") if path.exists() else "" for path in outputs]
        return subprocess.CompletedProcess(["penstock", *arguments], process.exitcode, *printed)


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    modules = (module.name for module in pkgutil.walk_packages(penstock_package.__path__, "penstock."))
    context.set_forkserver_preload(["__main__", *(m for m in modules if not m.startswith(_APART)), *_HEAVY])
    return context


def _perform(folder: Path, arguments: tuple[str, ...], environ: Mapping[str, str], outputs: list[Path]) -> None:
    for number, path in enumerate(outputs, 1):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["penstock", *arguments]

    from penstock.cli import main

    main()
