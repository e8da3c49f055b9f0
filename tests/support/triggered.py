"""A trigger at work in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from penstock.land.loop import Stop
from penstock.project import Project
from penstock.up.trigger import Trigger


@contextmanager
def triggered(project: Project) -> Iterator[Trigger]:
    """A trigger at work."""
    stop = Stop()
    trigger = Trigger(project, stop=stop)
    thread = threading.Thread(target=trigger.run, daemon=True)
    thread.start()
    try:
        yield trigger
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()
