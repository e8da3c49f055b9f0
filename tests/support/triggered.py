"""A trigger at work in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from penstock.land.loop import Stop
from penstock.project import Project
from penstock.up.trigger import Trigger
from tests.support.at_work import at_work


@contextmanager
def triggered(project: Project) -> Iterator[Trigger]:
    """A trigger at work."""
    stop = Stop()
    trigger = Trigger(project, stop=stop)
    with at_work(trigger, stop, seconds=60):
        yield trigger
