"""Named places where tests make a process fail.

``PENSTOCK_FAULT="before_commit:kill"`` kills the process the first time it passes that place,
``"after_stage:kill:3"`` the third time; ``raise`` raises instead, ``sleep`` waits five seconds. Without the variable a
place costs one comparison.
"""

from __future__ import annotations

import os
import signal
import time

_FAULT = os.environ.get("PENSTOCK_FAULT", "")
_passes = 0


def fault_point(name: str) -> None:
    """Fail here if the environment says so."""
    if _FAULT:
        _fail(name)


def _fail(name: str) -> None:
    global _passes
    where, _, rest = _FAULT.partition(":")
    how, _, nth = rest.partition(":")
    if where != name:
        return
    _passes += 1
    if _passes != int(nth or 1):
        return
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "sleep":
        time.sleep(5)
    else:
        raise RuntimeError(f"fault at {name}")
