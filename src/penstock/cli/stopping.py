"""Ctrl-C and SIGTERM, as a stop that what is at work looks at."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.land.loop import Stop


@contextmanager
def stoppable(*, serves: bool = False) -> Iterator[Stop]:
    """A stop that Ctrl-C and SIGTERM set: the batch in hand is finished, then all is committed. Twice means now.

    Args:
        serves: to be stopped is how the command ends well.
    """
    from penstock.land.loop import Stop

    stop = Stop()

    def ask(number: int, _: Any) -> None:
        if stop and serves:
            os._exit(128 + number)
        if stop:
            raise KeyboardInterrupt
        if serves:
            stop.set()
        else:
            stop.set(128 + number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
