"""Puts the records of files on a queue, so that a stream can be fed without its producers.

Delivery: at least once. What is counted as confirmed is in a queue; after a failure the same call again sends the
same message ids.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pika.exceptions import AMQPError

from penstock.errors import PenstockError, RefusedMessages, SourceError, UsageError, together
from penstock.logs import get_log
from penstock.project import Files
from penstock.project.steps import LoadStep
from penstock.publish.outgoing import EVENT_TYPE_PREFIX, Encoder, Format
from penstock.publish.publisher import Publisher, Route
from penstock.runs.plan import plan_loads
from penstock.sources.files.kind import files_like, open_files
from penstock.sources.kinds import opening_of
from penstock.sources.rabbitmq.amqp import connected, declare_topology, source_error
from penstock.sources.rabbitmq.kind import queues_of

if TYPE_CHECKING:
    from penstock.ports import Batch
    from penstock.project import Project, RabbitMQ
    from penstock.sources.files.source import FilesSource

_log = get_log("publish")

WINDOW = 2_000
_CHUNK = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to publish: ``repeat`` times all records of the files, in random order with ``shuffle``, ``limit`` at most.

    ``source`` names the queue where a stream has several; ``queue``, ``exchange`` and ``routing_key`` say another
    place at the same broker, which has to be there. ``rate`` is in messages a second.
    """

    stream: str
    files: Sequence[Path]
    source: str | None = None
    queue: str | None = None
    exchange: str | None = None
    routing_key: str | None = None
    format: Format = "json"
    repeat: int = 1
    limit: int | None = None
    rate: float | None = None
    shuffle: bool = False
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What became of the messages: ``sent = confirmed + returned + nacked``; and the files that could not be read."""

    route: Route
    sent: int
    confirmed: int
    returned: int
    nacked: int
    reason: str = ""
    failures: tuple[SourceError, ...] = ()

    @property
    def error(self) -> PenstockError | None:
        """The error that messages are which no queue has, and files that could not be read."""
        refused = self._refused()
        errors: list[PenstockError] = [*([] if refused is None else [refused]), *self.failures]
        return together(errors) if errors else None

    def _refused(self) -> RefusedMessages | None:
        if self.returned:
            return RefusedMessages(
                f"{self.returned:,} of {self.sent:,} messages came back: no queue takes them ({self.reason})",
                where=str(self.route),
                fix="bind a queue with that key, or publish with another --routing-key, --exchange or --queue",
            )
        if self.nacked:
            return RefusedMessages(
                f"{self.nacked:,} of {self.sent:,} messages were refused by their queue",
                where=str(self.route),
                fix="it may be full (x-max-length with overflow reject-publish): consume, then publish again",
            )
        return None


def publish(
    project: Project,
    request: Request,
    *,
    progress: Callable[[int, int], None] = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
) -> Published:
    """Publish, and return when the broker has answered for every message that was sent.

    Args:
        progress: is told of messages written, and of the bytes of file that they took.
        stop: asked between messages; once true, no more are sent.

    Raises:
        UsageError: no such stream, or it has no queue; nothing was sent.
        SourceError: a file cannot be read, the broker cannot be reached, or the connection was lost.
    """
    settings = queue_of(project, request)
    route = route_of(settings, request)
    encoder = _encoder_of(project, request)
    files = files_of(project, request)
    _sizes(files)  # a missing file is told before anything is sent
    with connected(settings, name=f"{settings.consumer_name} publish") as connection:
        if request.queue is None and request.exchange is None:
            with connection.channel() as channel:
                declare_topology(channel, settings)
        publisher = Publisher(connection, route, window=WINDOW)
        _log.info("publishing", stream=request.stream, route=str(route), broker=settings.address)
        try:
            _send(publisher, encoder, _records(files, request), request.rate, progress, stop)
        except (AMQPError, OSError) as e:
            cause = source_error(e, settings)
            raise SourceError(
                f"{cause.what}; {publisher.confirmed:,} of the {publisher.sent:,} messages sent are confirmed",
                where=cause.where,
                fix=f"{cause.fix}; then publish again: the message ids are the same",
            ) from e
    published = replace(_published(publisher, route), failures=tuple(files.failures))
    _log.info("published", stream=request.stream, sent=published.sent, confirmed=published.confirmed)
    return published


@contextmanager
def feeding(project: Project, request: Request) -> Iterator[Callable[[Sequence[bytes]], None]]:
    """A stream's queue held open: what is given takes records, and returns when each of them is confirmed.

    Raises:
        UsageError: no such stream, or it has no queue.
        SourceError: the broker is away; records not confirmed may be on the queue all the same.
        RefusedMessages: the broker did not take some.
    """
    settings = queue_of(project, request)
    route = route_of(settings, request)
    encoder = _encoder_of(project, request)
    with connected(settings, name=f"{settings.consumer_name} publish") as connection:
        with connection.channel() as channel:
            declare_topology(channel, settings)
        publisher = Publisher(connection, route, window=WINDOW)

        def send(bodies: Sequence[bytes]) -> None:
            for at in range(0, len(bodies), _CHUNK):
                publisher.send([encoder.message(body) for body in bodies[at : at + _CHUNK]])
            publisher.settle()
            if (error := _published(publisher, route).error) is not None:
                raise error

        yield send


def _encoder_of(project: Project, request: Request) -> Encoder:
    stream = project.streams[request.stream]
    return Encoder(
        identity=stream.identity.fields,
        event_time=stream.event_time,
        format=request.format,
        source=f"/penstock/{project.name}/{request.stream}",
        type=f"{EVENT_TYPE_PREFIX}{request.stream}",
    )


def _published(publisher: Publisher, route: Route) -> Published:
    return Published(
        route=route,
        sent=publisher.sent,
        confirmed=publisher.confirmed,
        returned=publisher.returned,
        nacked=publisher.nacked,
        reason=publisher.reason,
    )


def queue_of(project: Project, request: Request) -> RabbitMQ:
    """The settings of the queue to publish to: the stream's own, or any of the project's by its name.

    Raises:
        UsageError: there is none, or there are several.
    """
    steps = plan_loads(project, (request.stream,))
    queues = queues_of(project)
    where = str(project.directory / "penstock.yml")
    if request.source is not None:
        if request.source in queues:
            return queues[request.source]
        known = f"there is {', '.join(queues)}" if queues else "there is none"
        raise UsageError(f"no queue {request.source!r} among the sources", where=where, fix=known)
    own = [step.source for step in steps if step.source in queues]
    if len(own) == 1:
        return queues[own[0]]
    if own:
        raise UsageError(
            f"stream {request.stream} has several queues", where=where, fix=f"--source {own[0]}, or --source {own[1]}"
        )
    raise UsageError(
        f"stream {request.stream} is fed by no queue",
        where=where,
        fix="add a source of type: rabbitmq to it, or name one of the project's with --source",
    )


def route_of(settings: RabbitMQ, request: Request) -> Route:
    """Where the messages go.

    A binding's wildcards are filled with the stream's name: what is published by that key comes to the queue.
    """
    if request.queue is not None:
        if request.exchange is not None or request.routing_key is not None:
            raise UsageError("--queue stands alone", fix="give --queue, or --exchange and --routing-key")
        return Route(key=request.queue)
    exchange = request.exchange or settings.exchange
    if exchange is None:
        if request.routing_key is not None:
            raise UsageError("--routing-key needs an exchange", fix="add --exchange NAME, or give --queue NAME")
        return Route(key=settings.queue)
    words = settings.routing_keys[0].split(".")
    bound = ".".join(request.stream if word in ("#", "*") else word for word in words)
    return Route(exchange=exchange, key=bound if request.routing_key is None else request.routing_key)


def files_of(project: Project, request: Request) -> FilesSource:
    """The files to read, CSV as the stream's own files are written."""
    step = LoadStep(stream=request.stream, source="publish", fingerprint=False)
    paths = tuple(str(path.absolute()) for path in request.files)
    settings = Files(type="files", path=paths, csv=files_like(project, request.stream).csv)
    return open_files(settings, opening_of(project, step))


def size_of(project: Project, request: Request) -> int:
    """How many bytes of file will be read; 0 when it is not known before."""
    if request.limit is not None:
        return 0
    return request.repeat * sum(_sizes(files_of(project, request)))


def _sizes(files: FilesSource) -> list[int]:
    try:
        return [plan.size for plan in files.plan({})]
    except SourceError as e:  # of files that the call names, not the project
        raise SourceError(e.what.removeprefix(f"source {files.name}: "), fix="mend the paths in the call") from e


def _records(files: FilesSource, request: Request) -> Iterator[tuple[list[bytes], int]]:
    """A few records at a time, and the bytes of file they took."""
    left = request.limit
    most = _CHUNK if request.rate is None else max(1, min(_CHUNK, int(request.rate / 10)))
    order = random.Random(request.seed)  # noqa: S311 - nothing here is a secret
    for _ in range(request.repeat):
        for bodies, size in _shuffled(files, order) if request.shuffle else _read(files):
            for at in range(0, len(bodies), most):
                chunk = bodies[at : at + most] if left is None else bodies[at : at + min(most, left)]
                if not chunk:
                    return
                left = left if left is None else left - len(chunk)
                yield chunk, size * len(chunk) // len(bodies)


def _read(files: FilesSource) -> Iterator[tuple[list[bytes], int]]:
    """What the files hold; what is no record too, for whoever consumes it has a quarantine."""
    for batch in files.read({}):
        yield bodies_of(batch), batch.bytes


def bodies_of(batch: Batch) -> list[bytes]:
    """The records of a batch of files as messages have them, what is no record among them."""
    return [body.strip() for body in (*batch.bodies.to_pylist(), *(reject.body for reject in batch.rejects))]


def _shuffled(files: FilesSource, order: random.Random) -> Iterator[tuple[list[bytes], int]]:
    batches = list(_read(files))
    bodies = [body for found, _ in batches for body in found]
    order.shuffle(bodies)
    yield bodies, sum(size for _, size in batches)


def _send(
    publisher: Publisher,
    encoder: Encoder,
    records: Iterator[tuple[list[bytes], int]],
    rate: float | None,
    progress: Callable[[int, int], None],
    stop: Callable[[], bool],
) -> None:
    started = time.monotonic()
    try:
        for bodies, size in records:
            publisher.send([encoder.message(body) for body in bodies])
            progress(len(bodies), size)
            if stop():
                break
            if rate is not None:
                publisher.wait(started + publisher.sent / rate - time.monotonic())
    finally:
        publisher.settle()
