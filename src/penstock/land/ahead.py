"""Reading ahead: the next batch is read while one is shaped and another is written."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextvars import copy_context
from queue import Queue

from penstock.ports import Batch


def ahead(batches: Iterator[Batch]) -> Generator[Batch]:
    """The same batches, read up to two ahead in a thread. Close it to stop reading; that waits for the batch that is
    being read.

    Raises:
        SourceError: as reading does, after the batches that came before it.
    """
    queue: Queue[Batch | BaseException | None] = Queue(maxsize=1)
    abandoned = threading.Event()

    def read() -> None:
        try:
            for batch in batches:
                queue.put(batch)
                if abandoned.is_set():
                    return
            queue.put(None)
        except BaseException as e:  # noqa: BLE001 - handed to the reader's caller, which raises it
            queue.put(e)

    thread = threading.Thread(target=copy_context().run, args=(read,), name="read", daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        abandoned.set()
        while thread.is_alive():
            if not queue.empty():
                queue.get_nowait()
            thread.join(0.005)
