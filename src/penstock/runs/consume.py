"""Consuming a queue: each batch is landed, committed, and only then acknowledged, for as long as it is wished."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from penstock.backoff import Backoff
from penstock.engine_errors import error_text, shown_error
from penstock.errors import (
    ContractError,
    DestinationError,
    LandingBlocked,
    LockedError,
    PenstockError,
    RejectedRows,
    SourceError,
    UsageError,
)
from penstock.land.loop import Stop, load
from penstock.land.presence import presence_of
from penstock.land.session import Session
from penstock.lineage import Told, lineage_of
from penstock.logs import Commits, Repeated, bound, described, get_log
from penstock.ports import Batch, Receipt
from penstock.project.steps import LoadStep
from penstock.runs.broken import Broken
from penstock.runs.plan import plan_loads
from penstock.sources.kinds import Consumed, Until, consume_source, kind_of, opening_of

if TYPE_CHECKING:
    from penstock.project import Project

_log = get_log("consume")

_FIRST_WAIT_SECONDS = 0.25
_LAST_WAIT_SECONDS = 15.0
FIRST_LOOK_SECONDS = 1.0
LAST_LOOK_SECONDS = 60.0
"""How long a blocked consumer waits before it looks again whether somebody has mended what blocks it."""
_POLL_SECONDS = 0.05
_TELLING_RECORDS = 1_000
"""After so many, a field that none of them had is mostly a mistake of the project file."""
DRAIN_PATIENCE_SECONDS = 300.0
"""How long a consumer that is to end with the queue waits for a warehouse that is away."""

State = Literal["running", "waiting", "blocked"]


class Consumer:
    """Consumes one stream's queue, in the thread that calls :meth:`run`; everything else may be read from any thread.

    Whatever goes wrong with landing, messages stay unacknowledged and their connection is kept: nothing is given back
    to the queue, which would count as a failed delivery, and no more is taken than is in hand. Where the warehouse is
    away, it is tried again soon. What only somebody can mend (a frozen contract, a table changed by hand, a right that
    is missing, a fault of ours) blocks the consumer: it looks from time to time, and goes on once it is mended.

    Args:
        until_empty: end when the queue is drained. Then a block is an error at once.
        max_messages, max_seconds: end after so many messages, or so long, whatever is waited for.
        stop: when set, what is in hand is landed and acknowledged, and :meth:`run` returns.
        again: take messages also where one broke the contract, and nothing has changed since.
        patient: wait at the start, too, for a warehouse that is away or blocks the consumer.
        on_commit: called after each commit, in the consumer's thread.
        on_wait: called with the error and the seconds to wait, each time that nothing can be landed.
    """

    def __init__(
        self,
        project: Project,
        stream: str,
        source: str,
        *,
        until_empty: bool = False,
        max_messages: int | None = None,
        max_seconds: float | None = None,
        stop: Stop | None = None,
        again: bool = False,
        patient: bool = False,
        on_commit: Callable[[Receipt], None] = lambda _: None,
        on_wait: Callable[[Exception, float], None] = lambda _, __: None,
    ) -> None:
        self.stream = stream
        self.source = source
        self.read = self.landed = self.duplicates = self.quarantined = 0
        self.unlanded = 0
        """Messages that could not be landed when it ended, and are in the queue again."""
        self.last_commit_at: float | None = None
        """When the last batch was committed, in seconds since 1970."""
        self.batch_seconds = 0.0
        """How long the last batch took from its landing to its commit."""
        self.trouble: Exception | None = None
        """Why nothing can be landed; None when it can."""
        self._troubled_at: datetime | None = None
        self.state: State = "running"
        """``waiting`` while the warehouse is away, ``blocked`` while somebody has to mend something."""
        self._project = project
        self._until_empty = until_empty
        self._stop = Stop() if stop is None else stop
        self._until = Until(
            empty=until_empty, max_messages=max_messages, max_seconds=max_seconds, stop=self._stop.__bool__
        )
        self._again = again
        self._patient = patient
        self._on_commit = on_commit
        self._on_wait = on_wait
        self._queue: Consumed | None = None
        self._commits = Commits(_log, stream=stream, source=source)
        self._outage = Repeated(_log)
        self._told: Told | None = None
        self._presence = presence_of(project, stream, source)
        self._broken = Broken(project, stream, source)
        self._warned = False

    @property
    def connected(self) -> bool:
        """Whether messages can come now."""
        return self._queue is not None and self._queue.connected

    @property
    def reconnects(self) -> int:
        """How many times the connection to the broker was made again."""
        return 0 if self._queue is None else self._queue.reconnects

    @property
    def received(self) -> int:
        """Messages received, also those that came again."""
        return 0 if self._queue is None else self._queue.received

    @property
    def last_error(self) -> str:
        """Why nothing can be landed, or the last connection to the broker ended."""
        return self.waiting_for or ("" if self._queue is None else self._queue.last_error)

    @property
    def last_error_at(self) -> datetime | None:
        """When that was found last."""
        return self._troubled_at if self.trouble else None if self._queue is None else self._queue.last_error_at

    @property
    def waiting_for(self) -> str:
        """Why nothing can be landed, with the fix; empty when it can."""
        return "" if self.trouble is None else error_text(self.trouble)

    @property
    def well(self) -> bool:
        """Whether messages can come, and land."""
        return self.connected and self.trouble is None

    def lag(self) -> int | None:
        """How many messages have not landed: those that wait in the queue, and those in hand. None when the broker does
        not say."""
        return None if self._queue is None else self._queue.lag()

    def run(self) -> None:
        """Consume until the queue is empty, a limit is reached or ``stop`` is set.

        Raises:
            SourceError: the broker refuses or stays away at the first start.
            DestinationError, LockedError, ContractError, UsageError: nothing can be landed, at the start, while
                draining, or when it was to end; :attr:`unlanded` messages are in the queue again. A frozen contract is
                one of these reasons.
        """
        step = LoadStep(stream=self.stream, source=self.source)
        with bound(stream=self.stream, source=self.source), Session(self._project) as session:
            if not self._patient:
                self._look(session, step)
            telling = lineage_of(self._project)
            with (
                consume_source(self._project, step, self._until) as queue,
                telling.load(
                    step, lambda: session.destination.ledger.schema(self.stream), streaming=True
                ) as self._told,
            ):
                self._queue = queue
                settings = self._project.sources[self.source]
                opening = opening_of(self._project, step)
                _log.info("consuming", reads=kind_of(settings).forecast(settings, opening, {}).words)
                try:
                    self._consume(session, step, _InHand(queue, lambda: self._well(queue)), queue)
                finally:
                    self._commits.flush()
            counts = {"read": self.read, "landed": self.landed, "duplicates": self.duplicates}
            _log.info("stopped consuming", **counts, quarantined=self.quarantined, reconnects=self.reconnects)

    def _look(self, session: Session, step: LoadStep) -> None:
        """See that something could be landed, before any message is taken for it."""
        session.destination.land(step.target(self._project)).rollback()
        if self._again:
            self._broken.forget(session.destination)
            self._again = False
        self._broken.check(session.destination)

    def _remember(self, session: Session) -> None:
        """Keep for later runs that a message in hand breaks the contract."""
        try:
            self._broken.remember(session.destination)
        except Exception as e:  # noqa: BLE001 - what it was blocked by is told; the next look tries this again
            _log.warning("it cannot be kept that a message broke the contract", error=error_text(e))

    def _consume(self, session: Session, step: LoadStep, source: _InHand, queue: Consumed) -> None:
        waits: dict[str, Backoff] = {}
        since: float | None = None
        while True:
            before = self.last_commit_at
            try:
                if not source.messages and (self._patient or self.trouble is not None):
                    self._look(session, step)
                load(
                    source,
                    session.destination,
                    session.shapers(self.stream),
                    step.target(self._project),
                    commit_bytes=0,
                    on_commit=partial(self._committed, session),
                    presence=self._presence,
                )
                self._warn()
                return
            except SourceError:
                raise
            except Exception as e:  # whatever it is, ending now would give back what is in hand
                state: State = "waiting" if _is_away(e) else "blocked"
                if self.last_commit_at != before:
                    waits, since = {}, None
                since = time.monotonic() if since is None else since
                queue.hold(True)
                if isinstance(e, ContractError) and source.messages:
                    self._remember(session)
                with suppress(Exception):
                    session.release()
                self.trouble, self.state, self._troubled_at = e, state, datetime.now(UTC)
                ended = bool(self._stop) or queue.ending
                drained = self._until_empty and (
                    state == "blocked" or time.monotonic() - since > DRAIN_PATIENCE_SECONDS
                )
                if not ended and not drained:
                    seconds = waits.setdefault(state, _backoff(state)).next_seconds()
                    self._say(e, state, seconds, source.messages)
                    self._on_wait(e, seconds)
                    until = time.monotonic() + seconds
                    while time.monotonic() < until and not queue.ending:
                        time.sleep(min(_POLL_SECONDS, seconds))
                    ended = queue.ending
                if ended or drained:
                    self.unlanded = source.messages + queue.untaken
                    if self._stop and not self.unlanded:
                        return
                    raise

    def _say(self, error: Exception, state: State, seconds: float, messages: int) -> None:
        fields = {**described(error), "messages": messages, "again_in_seconds": round(seconds, 1)}
        if state == "waiting":
            self._outage.warning("the warehouse is away; messages stay in the queue", way=state, **fields)
            return
        if not isinstance(error, PenstockError):
            fields["exc_info"] = shown_error(error)
        self._outage.error(
            "nothing can be landed until this is mended; messages stay in the queue", **fields, way=error_text(error)
        )

    def _well(self, queue: Consumed) -> None:
        if self.trouble is not None:
            _log.info("landing goes on")
        self.trouble, self.state = None, "running"
        self._outage.over()
        queue.hold(False)

    def _committed(self, session: Session, receipt: Receipt) -> None:
        self.read += receipt.read
        self.landed += receipt.landed
        self.duplicates += receipt.duplicates
        self.quarantined += receipt.quarantined
        self.batch_seconds = (receipt.committed_at - receipt.started_at).total_seconds()
        self.last_commit_at = receipt.committed_at.timestamp()
        self._commits(receipt)
        if self._told is not None:
            self._told.committed(receipt)
        self._on_commit(receipt)
        if self._broken.known:
            self._broken.forget(session.destination)
        if self.read >= _TELLING_RECORDS:
            self._warn()

    def _warn(self) -> None:
        """Say once what looks like a mistake in the project file."""
        if not self._warned:
            self._warned = True
            for text in self._presence.warnings():
                _log.warning("the project file may be mistaken", detail=text)


class _InHand:
    """A queue that gives again what was given and not acknowledged, instead of taking it from the broker anew.

    ``on_well`` is called each time that something is acknowledged, or that nothing is in hand and nothing comes.
    """

    def __init__(self, source: Consumed, on_well: Callable[[], None]) -> None:
        self.name = source.name
        self.failures = source.failures
        self._source = source
        self._on_well = on_well
        self._given: deque[Batch] = deque()

    @property
    def messages(self) -> int:
        """How many messages are in hand."""
        return sum(len(batch.bodies) + len(batch.rejects) for batch in tuple(self._given))

    def read(self, known: Mapping[str, Mapping[str, Any]]) -> Iterator[Batch]:
        """What is in hand, then what comes."""
        yield from tuple(self._given)
        for batch in self._source.follow() if self._source.open else self._source.read(known):
            if not batch.empty:
                self._given.append(batch)
            elif not self._given:
                self._on_well()
            yield batch

    def acknowledge(self, deliveries: Sequence[Any], /) -> None:
        """Let go of what has landed, and tell the broker."""
        landed = {id(delivery) for delivery in deliveries}
        while self._given and all(id(delivery) in landed for delivery in self._given[0].acknowledgements):
            self._given.popleft()
        self._source.acknowledge(deliveries)
        self._on_well()


def _is_away(error: Exception) -> bool:
    """Whether it is over by itself. Of what is no error of ours, only what the machine lacks just now is."""
    if isinstance(error, RejectedRows | LandingBlocked):
        return False
    return isinstance(error, DestinationError | LockedError | MemoryError | OSError)


def _backoff(state: State) -> Backoff:
    if state == "waiting":
        return Backoff(_FIRST_WAIT_SECONDS, _LAST_WAIT_SECONDS, jitter=True)
    return Backoff(FIRST_LOOK_SECONDS, LAST_LOOK_SECONDS, jitter=True)


def queues(project: Project, streams: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Stream and source of each queue that feeds one of the streams, of any stream when none is named.

    Raises:
        UsageError: there is none.
    """
    steps = plan_loads(project, streams)
    fed = [(s.stream, s.source) for s in steps if not project.sources[s.source].ends]
    missing = [s for s in streams if s not in {stream for stream, _ in fed}]
    if missing or not fed:
        raise UsageError(
            f"{', '.join(missing) or 'no stream'}: not fed by a queue" if missing else "no stream is fed by a queue",
            where=str(project.directory / "penstock.yml"),
            fix="add a source of type: rabbitmq, and name it in the stream's from:; files are for penstock load",
        )
    return fed
