"""An asynchronous iterator read from a thread: its loop runs in a thread of its own, ahead by a number of bytes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import copy_context
from queue import SimpleQueue
from typing import Protocol, TypeVar


class Weighed(Protocol):
    """What takes memory."""

    @property
    def bytes(self) -> int:
        """How much."""
        ...


T = TypeVar("T", bound=Weighed)


def iterate(make: Callable[[], AsyncGenerator[T]], *, budget_bytes: int) -> Generator[T]:
    """The items of an asynchronous generator, in order; it waits when items of ``budget_bytes`` are waiting here.

    An item counts until the next one is asked for. What the generator raises is raised here. Closing this one cancels
    and awaits it.
    """
    items: SimpleQueue[T | BaseException | None] = SimpleQueue()
    loop = asyncio.new_event_loop()
    room = asyncio.Event()
    held = 0

    async def pump() -> None:
        nonlocal held
        generator = make()
        try:
            async for item in generator:
                held += item.bytes
                items.put(item)
                while held > budget_bytes:
                    room.clear()
                    await room.wait()
        finally:
            await generator.aclose()

    def taken(size: int) -> None:
        nonlocal held
        held -= size
        room.set()

    def run() -> None:
        try:
            loop.run_until_complete(task)
            items.put(None)
        except BaseException as e:  # noqa: BLE001 - handed to the reader, which raises it
            items.put(e)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())

    task = loop.create_task(pump())
    thread = threading.Thread(target=copy_context().run, args=(run,), name="http", daemon=True)
    thread.start()
    try:
        while (item := items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
            loop.call_soon_threadsafe(taken, item.bytes)
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()
