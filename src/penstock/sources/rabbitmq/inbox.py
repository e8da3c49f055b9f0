"""Where messages wait between the thread that receives them and the one that reads them."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from penstock.backoff import Backoff
from penstock.logs import Repeated, described, get_log, retold
from penstock.troubles import Troubles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.errors import SourceError
    from penstock.project import RabbitMQ

_log = get_log("queue")

_FIRST_BACKOFF_SECONDS = 0.1
_LAST_BACKOFF_SECONDS = 30.0
_POLL_SECONDS = 0.05
_STEADY_SECONDS = 5.0
"""A connection that lived so long was not a failed attempt."""


@dataclass(slots=True)
class Run:
    """Messages received one after the other over one connection: bodies, heads, and delivery tags or offsets.

    ``plain`` says that every body is known to be what it seems.
    """

    generation: int
    at: float
    bodies: list[bytes] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    tags: Sequence[int] = ()
    bytes: int = 0
    plain: bool = False

    def take(self, messages: int, most_bytes: int) -> Run:
        """Cut off the first messages: up to so many, and so many bytes; one at least."""
        if len(self.tags) <= messages and self.bytes <= most_bytes:
            taken = replace(self)
            self.bodies, self.heads, self.tags, self.bytes = [], [], (), 0
            return taken
        end = size = 0
        for body in self.bodies[:messages]:
            if end and size + len(body) > most_bytes:
                break
            end, size = end + 1, size + len(body)
        taken = Run(
            self.generation, self.at, self.bodies[:end], self.heads[:end], self.tags[:end], size, plain=self.plain
        )
        del self.bodies[:end], self.heads[:end]
        self.tags = self.tags[end:]
        self.bytes -= size
        return taken


class Inbox(Troubles, ABC):
    """Receives in a thread of its own until closed, over as many connections as it takes.

    A connection that ends is made again after a while, longer each time up to 30 s. What was received and not taken
    by then is thrown away: it comes again.

    Args:
        first_generation: the number of the first connection; one reader's connections have all another.
        patience_seconds: how long the first connection may take before :attr:`failure` says that it failed.
    """

    def __init__(self, settings: RabbitMQ, *, first_generation: int = 1, patience_seconds: float = 30.0) -> None:
        self.settings = settings
        self.changed = threading.Condition()
        """Notified whenever something comes; hold it to look at :attr:`waiting`."""
        self.runs: deque[Run] = deque()
        self.waiting = 0
        self.waiting_bytes = 0
        self.generation = first_generation - 1
        self.connected = False
        self.connections = 0
        self.received = 0
        self.trouble: SourceError | None = None
        """Why the last connection ended, or could not be made."""
        self.failure: SourceError | None = None
        self.ending: Callable[[], bool] = lambda: False
        """Whether its reader is about to end, and waits for nothing any longer."""
        self.holding = False
        self._patience_seconds = patience_seconds
        self._outage = Repeated(_log)
        self._closing = threading.Event()
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._work,), name=f"receive {settings.queue}", daemon=True
        )

    @property
    @abstractmethod
    def halted(self) -> bool:
        """Whether no more comes before something is taken or acknowledged."""

    @abstractmethod
    def _consume(self) -> None:
        """Connect, and receive until closed or, by an exception, lost."""

    @abstractmethod
    def _wake(self) -> None:
        """Make the thread look at what is asked of it."""

    @abstractmethod
    def _explained(self, e: Exception) -> tuple[SourceError, bool]:
        """What ended a connection, and whether another would end so too."""

    def start(self) -> None:
        """Begin, and return at once."""
        self._thread.start()

    def hold(self, holding: bool) -> None:
        """Whether a connection that is made from now on waits before it takes messages."""
        self.holding = holding
        self._wake()

    def take(self, messages: int, most_bytes: int) -> list[Run]:
        """The first messages that wait, of one connection, up to so many and so many bytes."""
        with self.changed:
            return self._take(messages, most_bytes)

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Finish what is under way, and leave."""
        self._closing.set()
        self._wake()
        if self._thread.ident is not None:
            # without a connection there is nothing to finish, and an attempt at one takes its time
            self._thread.join(timeout_seconds if self.connected else 0)

    def _take(self, messages: int, most_bytes: int) -> list[Run]:
        taken: list[Run] = []
        while self.runs and messages > 0 and (most_bytes > 0 or not taken):
            first = self.runs[0]
            if taken and (first.generation != taken[0].generation or len(first.bodies[0]) > most_bytes):
                break
            part = first.take(messages, most_bytes)
            if not first.tags:
                self.runs.popleft()
            taken.append(part)
            messages -= len(part.tags)
            most_bytes -= part.bytes
            self.waiting -= len(part.tags)
            self.waiting_bytes -= part.bytes
        return taken

    def _await(self, event: threading.Event, seconds: float) -> bool:
        """Wait for it, at most so long and until its reader is about to end; whether it came."""
        give_up = time.monotonic() + seconds
        while not event.wait(_POLL_SECONDS):
            if time.monotonic() >= give_up or self.ending():
                return event.is_set()
        return True

    def _put(self, run: Run) -> None:
        """Add what has come; :attr:`changed` is held."""
        self.runs.append(run)
        self.waiting += len(run.tags)
        self.waiting_bytes += run.bytes
        self.received += len(run.tags)
        self.changed.notify_all()

    def _is_connected(self) -> None:
        with self.changed:
            self.connected = True
            self.connections += 1
            again = self.connections > 1
            self.changed.notify_all()
        self._outage.over()
        _log.info("connected again" if again else "connected", queue=self.settings.queue, broker=self.settings.address)

    def _work(self) -> None:
        backoff = Backoff(_FIRST_BACKOFF_SECONDS, _LAST_BACKOFF_SECONDS, jitter=True)
        give_up = time.monotonic() + self._patience_seconds
        while not self._closing.is_set():
            started = time.monotonic()
            lost: SourceError | None = None
            try:
                with retold("pika"):
                    self._consume()
            except Exception as e:  # noqa: BLE001 - clients raise many kinds, and giving up helps against none
                error, lasting = self._explained(e)
                self.last_error, self.trouble = str(error), error
                if not self.connections and (lasting or time.monotonic() > give_up):
                    self._fail(error)
                    return
                lost = error
            finally:
                self._forget()
            if self.failure is not None:
                return
            if time.monotonic() - started > _STEADY_SECONDS:
                backoff.reset()
            seconds = backoff.next_seconds()
            if lost is not None and not self._closing.is_set():
                self._outage.warning(
                    "not connected to the broker", again_in_seconds=round(seconds, 1), **described(lost)
                )
            self._closing.wait(seconds)

    def _fail(self, error: SourceError) -> None:
        with self.changed:
            self.failure = error
            self.changed.notify_all()

    def _forget(self) -> None:
        """The connection is gone, and what it brought will come again."""
        with self.changed:
            self.connected = False
            self.generation += 1
            self.runs.clear()
            self.waiting = self.waiting_bytes = 0
            self.changed.notify_all()
