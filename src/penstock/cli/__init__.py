"""The command line: parses and prints; all else is done elsewhere.

Exit codes: 0 fine, 1 failed, 2 wrong call or project file, 3 contract or test failed, 4 source unreachable,
5 warehouse locked, 130 and 143 stopped by Ctrl-C and SIGTERM.
"""

from __future__ import annotations

import gc
import os
import sys

from penstock import logs
from penstock.engine_errors import shown_error
from penstock.errors import PenstockError


def main() -> None:
    """Entry point of ``penstock``."""
    # a tenth of a small load's time went into looking for garbage among what was just imported
    gc.set_threshold(100_000, 20, 50)
    from penstock.cli.app import app
    from penstock.cli.locked import explained

    try:
        app()
    except PenstockError as e:
        sys.stdout.flush()
        logs.fail(explained(e))
        sys.exit(e.exit_code)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as e:  # noqa: BLE001 - a fault of ours; its traceback may not quote what a row held
        import traceback

        sys.stdout.flush()
        traceback.print_exception(shown_error(e))
        sys.exit(1)
