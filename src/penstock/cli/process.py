"""The process of a command, which ends as soon as the command has."""

from __future__ import annotations

import atexit
import logging
import os
import sys

from penstock.cli import main
from penstock.system import share_memory

_exit_codes: list[int] = []


def run() -> None:
    """Perform the command that this process was called with, and end the process.

    What is registered for the end of a process is done. Only the modules are not taken apart one by one, which would
    take a seventh of a small load's time and changes nothing that lasts.
    """
    share_memory()
    atexit.register(_end)  # before all others, and so called behind them
    try:
        main()
    except SystemExit as e:
        if e.code is None or isinstance(e.code, int):
            _exit_codes.append(e.code or 0)
        raise
    _exit_codes.append(0)


def _end() -> None:
    if not _exit_codes:  # it ends by an exception, which is to be shown
        return
    logging.shutdown()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return
    os._exit(_exit_codes[0])
