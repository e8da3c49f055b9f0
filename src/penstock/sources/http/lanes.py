"""Several asynchronous iterators at once, their items given one iterator after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

A = TypeVar("A")
T = TypeVar("T")

_WAITING = 2
"""Items that wait in each lane."""


async def in_lanes(
    starts: AsyncGenerator[A], run: Callable[[A], AsyncGenerator[T]], *, lanes: int
) -> AsyncGenerator[T]:
    """The items of ``run(start)`` for each start, in the order of the starts; so many of them run at a time.

    What ``starts`` raises is raised behind the items of those that it gave before.
    """
    active: deque[tuple[asyncio.Queue[T | BaseException | None], asyncio.Task[None]]] = deque()

    async def fill(start: A, queue: asyncio.Queue[T | BaseException | None]) -> None:
        try:
            async with aclosing(run(start)) as items:
                async for item in items:
                    await queue.put(item)
            await queue.put(None)
        except Exception as e:  # noqa: BLE001 - handed to who reads this lane, which raises it
            await queue.put(e)

    more, failure = True, None
    try:
        async with aclosing(starts):
            while True:
                while more and len(active) < lanes:
                    try:
                        start = await anext(starts)
                    except StopAsyncIteration:
                        more = False
                        break
                    except Exception as e:  # noqa: BLE001 - raised below
                        more, failure = False, e
                        break
                    queue: asyncio.Queue[T | BaseException | None] = asyncio.Queue(_WAITING)
                    active.append((queue, asyncio.create_task(fill(start, queue))))
                if not active:
                    if failure is not None:
                        raise failure
                    return
                item = await active[0][0].get()
                if item is None:
                    active.popleft()
                elif isinstance(item, BaseException):
                    raise item
                else:
                    yield item
    finally:
        tasks = [task for _, task in active]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
