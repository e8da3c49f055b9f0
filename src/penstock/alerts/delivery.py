"""Brings messages to channels, each in a thread of its own, so that one that hangs holds up no other and no load."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from penstock.backoff import Backoff
from penstock.engine_errors import error_text
from penstock.errors import DeliveryError, PenstockError, RefusedDelivery
from penstock.extras import require

if TYPE_CHECKING:
    from penstock.alerts.notices import Problem
    from penstock.alerts.wording import Message
    from penstock.project import Channel

FIRST_BACKOFF_SECONDS = 1.0
LAST_BACKOFF_SECONDS = 300.0
PATIENCE_SECONDS = 86_400.0
"""How long a message is tried again while ``penstock up`` runs."""
COMMAND_PATIENCE_SECONDS = 20.0
"""How long a command that ends after it tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it went with a message on a channel. ``error`` is None when it arrived; ``final`` says that it is not tried
    again."""

    channel: str
    message: Message
    error: DeliveryError | None
    final: bool = True


Told = Callable[[Outcome], None]


def send(channel: Channel, message: Message) -> None:
    """Send a message once.

    Raises:
        DeliveryError: it did not arrive.
    """
    if channel.webhook is not None:
        require("http")
        from penstock.alerts.webhook import send_webhook

        send_webhook(channel.webhook, message)
    elif channel.email is not None:
        from penstock.alerts.mail import send_mail

        send_mail(channel.email, message)


def wants(channel: Channel, problem: Problem) -> bool:
    """Whether a channel is told of such a problem."""
    return not channel.only or problem.alert in channel.only


def wanted(channel: Channel, message: Message) -> Message | None:
    """What of a message is for a channel; None when nothing is."""
    if not message.problems:
        return message
    kept = [problem for problem in message.problems if wants(channel, problem)]
    return replace(message, problems=kept) if kept else None


def deliver(
    channel: Channel,
    message: Message,
    *,
    patience_seconds: float,
    wait: Callable[[float], bool],
    on_failure: Told = lambda _: None,
) -> Outcome:
    """Send a message until it has arrived, is refused, or patience ends. ``wait`` lets time pass, and says whether to
    stop; ``on_failure`` is told of each failure that is tried again."""
    backoff = Backoff(FIRST_BACKOFF_SECONDS, LAST_BACKOFF_SECONDS)
    until = time.monotonic() + patience_seconds
    while True:
        try:
            send(channel, message)
        except DeliveryError as e:
            error = e
        except Exception as e:  # noqa: BLE001 - whatever a library dies of, loads and other channels go on
            what = e.what if isinstance(e, PenstockError) else f"{type(e).__name__}: {error_text(e)}"
            error = RefusedDelivery(what, where=channel.name)
        else:
            return Outcome(channel=channel.name, message=message, error=None)
        seconds = max(backoff.next_seconds(), error.after_seconds)
        if isinstance(error, RefusedDelivery) or time.monotonic() + seconds > until:
            return Outcome(channel=channel.name, message=message, error=error)
        on_failure(Outcome(channel=channel.name, message=message, error=error, final=False))
        if wait(seconds):
            return Outcome(channel=channel.name, message=message, error=error, final=False)


def deliver_now(channels: Sequence[Channel], message: Message, patience_seconds: float) -> list[Outcome]:
    """Send a message on all channels at once, and wait for the outcomes."""

    def one(channel: Channel) -> Outcome | None:
        part = wanted(channel, message)
        if part is None:
            return None
        return deliver(channel, part, patience_seconds=patience_seconds, wait=_sleep)

    if not channels:
        return []
    with ThreadPoolExecutor(len(channels), thread_name_prefix="notify") as pool:
        return [outcome for outcome in pool.map(one, channels) if outcome is not None]


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


class Outbox:
    """Channels with a thread and a queue each. ``on_failure`` is called from those threads."""

    def __init__(
        self, channels: Sequence[Channel], on_failure: Told, *, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._lanes = [_Lane(channel, on_failure, patience_seconds) for channel in channels]

    def put(self, message: Message) -> None:
        """Have a message brought to each channel that it is for, after those before it."""
        for lane in self._lanes:
            lane.put(message)

    def close(self, seconds: float) -> None:
        """Wait a little for what is under way, and give up the rest: who keeps it brings it another time."""
        until = time.monotonic() + seconds
        for lane in self._lanes:
            lane.close(max(0.0, until - time.monotonic()))


class _Lane:
    """One channel, its queue and its thread."""

    def __init__(self, channel: Channel, on_failure: Told, patience_seconds: float) -> None:
        self._channel = channel
        self._on_failure = on_failure
        self._patience = patience_seconds
        self._queue: deque[Message] = deque()
        self._wake = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"notify {channel.name}", daemon=True)
        self._thread.start()

    def put(self, message: Message) -> None:
        part = wanted(self._channel, message)
        if part is not None:
            with self._wake:
                self._queue.append(part)
                self._wake.notify()

    def close(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._queue and self._thread.is_alive() and time.monotonic() < until:
            time.sleep(0.02)
        self._stop.set()
        with self._wake:
            self._wake.notify()
        self._thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._wake:
                while not self._queue and not self._stop.is_set():
                    self._wake.wait()
                if self._stop.is_set():
                    return
                message = self._queue[0]
            outcome = deliver(
                self._channel,
                message,
                patience_seconds=self._patience,
                wait=self._stop.wait,
                on_failure=self._on_failure,
            )
            self._on_failure(outcome)
            with self._wake:
                self._queue.popleft()
