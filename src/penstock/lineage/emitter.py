"""Sends events from a thread of its own, in order, and never more than a few in memory.

A server that is away is asked again, after 1 second, then 2, up to 30, while events wait; what comes when the queue is
full is dropped, and counted. What the server refuses is not sent again.
"""

from __future__ import annotations

import atexit
import os
import queue
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.backoff import Backoff
from penstock.extras import require
from penstock.logs import described, get_log

if TYPE_CHECKING:
    from penstock.lineage.facts import Event
    from penstock.project import Lineage

WAITING = 1_000
"""Events that wait at most."""
VARIABLES = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")
_FIRST_BACKOFF_SECONDS = 1.0
_LAST_BACKOFF_SECONDS = 30.0
_MENDABLE = (408, 429)

Sender = Callable[[Any], object]
"""Sends one event, and raises what hinders it."""

_log = get_log("lineage")
_lock = threading.Lock()
_counts: Counter[str] = Counter()
_emitters: dict[Any, Emitter] = {}


class Emitter:
    """Takes facts from any thread, and sends them as events.

    Args:
        connect: gives what sends; called in the emitter's thread, when the first event comes.
        flush_seconds: how long :meth:`close` waits.
    """

    def __init__(self, connect: Callable[[], Sender], *, flush_seconds: float, waiting: int = WAITING) -> None:
        self._connect = connect
        self._flush_seconds = flush_seconds
        self._queue: queue.Queue[Event | None] = queue.Queue(waiting)
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False

    def emit(self, event: Event) -> None:
        """Have an event sent; returns at once."""
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            _count("dropped")
            return
        if self._thread is None:
            with _lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="lineage", daemon=True)
                    self._thread.start()

    def close(self) -> None:
        """Send what waits, as far as there is time for it. Harmless again."""
        thread = self._thread
        if thread is None or self._closing.is_set():
            return
        self._closing.set()
        until = time.monotonic() + self._flush_seconds
        while thread.is_alive() and time.monotonic() < until:
            try:
                self._queue.put(None, timeout=0.05)  # wakes it
            except queue.Full:
                continue
            thread.join(max(0.0, until - time.monotonic()))
        if left := sum(event is not None for event in tuple(self._queue.queue)):
            _count("dropped", left)
            _log.warning("lineage events were not sent in time", events=left, seconds=self._flush_seconds)

    def _work(self) -> None:
        backoff = Backoff(_FIRST_BACKOFF_SECONDS, _LAST_BACKOFF_SECONDS)
        send: Sender | None = None
        while (event := self._queue.get()) is not None:
            while True:
                try:
                    require("lineage")
                    send = send or self._connect()
                    from penstock.lineage.events import run_event

                    send(run_event(event))
                except Exception as e:  # noqa: BLE001 - whatever hinders lineage hinders nothing else
                    self._failed(e)
                    if _is_lasting(e) or self._closing.is_set():
                        _count("failed")
                        break
                    self._closing.wait(backoff.next_seconds())
                else:
                    _count("sent")
                    backoff.reset()
                    if self._failing:
                        self._failing = False
                        _log.info("lineage events are sent again")
                    break

    def _failed(self, error: Exception) -> None:
        """Say so once, until it goes well again."""
        if not self._failing:
            self._failing = True
            _log.warning("lineage events cannot be sent; nothing else waits for them", **described(error))


def emitter_for(settings: Lineage | None) -> Emitter | None:
    """Where events go by the project, or by OpenLineage's own variables; None when nobody wants them."""
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return None
    asked = [n for n in os.environ if n in VARIABLES or n.startswith("OPENLINEAGE__TRANSPORT")]
    if settings is None and not asked:
        return None
    key = settings if settings is not None else tuple(sorted((n, os.environ[n]) for n in asked))
    with _lock:
        emitter = _emitters.get(key)
        if emitter is None or emitter._closing.is_set():  # noqa: SLF001 - its own module
            seconds = 5.0 if settings is None else settings.flush_seconds
            emitter = _emitters[key] = Emitter(lambda: _sender(settings), flush_seconds=seconds)
    return emitter


@atexit.register
def close_all() -> None:
    """Send what waits."""
    for emitter in list(_emitters.values()):
        emitter.close()


def counted() -> dict[str, int]:
    """Events of this process, by what became of them: sent, failed, dropped."""
    with _lock:
        return dict(_counts)


def _sender(settings: Lineage | None) -> Sender:
    if settings is None:
        from openlineage.client import OpenLineageClient

        return OpenLineageClient().emit
    if settings.transport == "file":
        assert settings.path is not None
        return _File(settings.path)
    if settings.transport == "console":
        return _print
    return _http(settings)


def _http(settings: Lineage) -> Sender:
    from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport, TokenProvider

    key = settings.api_key
    auth = TokenProvider({}) if key is None else ApiKeyTokenProvider({"apiKey": key.get_secret_value()})
    transport = HttpTransport(
        HttpConfig(
            url=f"{str(settings.url).rstrip('/')}/",
            endpoint=settings.endpoint.lstrip("/"),
            timeout=settings.timeout_seconds,
            auth=auth,
            retry={"total": 0},  # the emitter does it, in order
        )
    )
    return transport.emit


class _File:
    """Adds events to a file, each by one write, so that several processes may share it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path

    def __call__(self, event: Any) -> None:
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, f"{_json(event)}\n".encode())
        finally:
            os.close(handle)


def _print(event: Any) -> None:
    sys.stderr.write(f"{_json(event)}\n")


def _json(event: Any) -> str:
    from openlineage.client.serde import Serde

    return Serde.to_json(event)


def _is_lasting(error: Exception) -> bool:
    """Whether to send the same again would be of no use."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return 400 <= status < 500 and status not in _MENDABLE
    return not isinstance(error, OSError)  # which what happens to connections and files is


def _count(outcome: str, number: int = 1) -> None:
    with _lock:
        _counts[outcome] += number
