"""A part of ``penstock up`` at work in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from penstock.land.loop import Stop


class Job(Protocol):
    """What has a thread of its own, until it is stopped."""

    def run(self) -> None: ...


@contextmanager
def at_work(job: Job, stop: Stop, *, seconds: float) -> Iterator[None]:
    """The job in a thread for the block; it has to end within ``seconds`` once it is asked to."""
    thread = threading.Thread(target=job.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(seconds)
        assert not thread.is_alive()
