"""The command line: its commands parse options, start what does the work, and print what came of it.

Exit codes: 0 fine, 1 failed, 2 wrong call or project file, 3 contract or test failed, 4 source unreachable,
5 warehouse locked, 130 and 143 stopped by Ctrl-C and SIGTERM.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from penstock import logs
from penstock.cli import json_document
from penstock.engine_errors import error_text, shown_error
from penstock.errors import PenstockError, UsageError
from penstock.extras import explained_import

if TYPE_CHECKING:
    from typer import Typer

_STOPPED = 130


def main() -> None:
    """Perform the command that ``sys.argv`` names."""
    # a tenth of a small load's time went into looking for garbage among what was just imported
    gc.set_threshold(100_000, 20, 50)
    # else pydantic looks into every installed distribution for such as watch it
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    wanted = json_document.is_wanted(sys.argv[1:])
    with json_document.alone(wanted):
        _run(as_data=wanted)


def _run(*, as_data: bool) -> None:
    from penstock.cli.commands import make_app
    from penstock.cli.locked import explained

    try:
        app = make_app(sys.argv[1:])
        if as_data:
            _perform(app)
        else:
            app()
    except PenstockError as e:
        _fail(explained(e))
    except KeyboardInterrupt:
        json_document.print_failure({"what": "stopped"}, _STOPPED)
        print("stopped", file=sys.stderr)
        sys.exit(_STOPPED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as e:  # noqa: BLE001 - a fault of ours; its traceback may not quote what a row held
        if isinstance(e, ImportError) and (missing := explained_import(e)):
            _fail(missing)
        import traceback

        sys.stdout.flush()
        json_document.print_failure({"what": f"{type(e).__name__}: {error_text(e)}"}, 1)
        traceback.print_exception(shown_error(e))
        sys.exit(1)


def _fail(error: PenstockError) -> NoReturn:
    sys.stdout.flush()
    json_document.print_failure(error.as_dict(), error.exit_code)
    logs.fail(error)
    sys.exit(error.exit_code)


def _perform(app: Typer) -> None:
    """Perform the command; what is wrong with the call is told as data too."""
    import typer

    try:
        exit_code = app(standalone_mode=False)
    except typer.Abort:
        raise PenstockError("it was not confirmed, and nothing was done") from None
    except Exception as e:
        if not hasattr(e, "format_message"):
            raise
        raise UsageError(e.format_message(), fix="--help has what the command takes") from None
    if exit_code:
        json_document.print_failure({"what": "stopped" if exit_code == _STOPPED else "it failed"}, exit_code)
        sys.exit(exit_code)
