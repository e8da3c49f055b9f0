"""What a kind of source is: one object that opens its sources, describes them and checks them, and the registry of all.

What is asked of a source outside of its kind's folder is asked here; nobody looks which kind it is. A kind that an
installed distribution adds is one like those built in: see :mod:`penstock.project.sources` for how it is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from penstock.errors import UsageError
from penstock.findings import Finding
from penstock.plural import count
from penstock.ports import Batch, Source, Window
from penstock.project.fields import NamedField, fields_named
from penstock.project.sources import SOURCES, SourceSettings

if TYPE_CHECKING:
    from typing import Self

    from penstock.project import Files, Project
    from penstock.project.settings import Stream
    from penstock.project.steps import LoadStep
    from penstock.sources.datasets import DatasetName
    from penstock.sources.files.planning import FilePlan

S = TypeVar("S", bound=SourceSettings)
State = Mapping[str, Any]

_BUILT_IN = ("files", "http", "rabbitmq", "lake")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a source is opened for.

    ``source`` is its name, under which positions are kept, and ``directory`` the project's folder. ``window``,
    ``fingerprint`` and ``lookback`` are those of the load step. With ``refresh``, each load takes the place of all
    before it, so that everything is to be read or nothing. ``identity`` are the stream's key fields; with
    ``message_ids`` its records go by the ids of their messages. A batch has about ``batch_bytes``.
    """

    source: str
    stream: str
    directory: Path
    window: Window | None = None
    fingerprint: bool = True
    lookback: timedelta = timedelta()
    refresh: bool = False
    identity: Sequence[str] = ()
    message_ids: bool = False
    max_record_bytes: int = 16 << 20
    batch_bytes: int = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """When consuming is to end: when nothing is left, after so many messages or seconds, or once ``stop`` is true."""

    empty: bool = False
    max_messages: int | None = None
    max_seconds: float | None = None
    stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What reading would give: in ``words``, in ``files``, and how many ``bytes``; 0 when nobody knows."""

    words: str = ""
    files: Sequence[FilePlan] = ()
    bytes: int = 0


class Consumed(Source, Protocol):
    """A source without an end, as a consumer has it. What it gave and was not acknowledged stays its own until it is
    closed."""

    @property
    def connected(self) -> bool:
        """Whether records can come now."""
        ...

    @property
    def open(self) -> bool:
        """Whether reading has begun: :meth:`follow` can go on with it."""
        ...

    @property
    def ending(self) -> bool:
        """Whether reading is to end: it was stopped, or its time is up."""
        ...

    @property
    def reconnects(self) -> int:
        """How many times the connection was made again."""
        ...

    @property
    def received(self) -> int:
        """Records received, also those that came again."""
        ...

    @property
    def untaken(self) -> int:
        """Records received and not yet given."""
        ...

    @property
    def last_error(self) -> str:
        """Why the last connection ended; empty when none did."""
        ...

    @property
    def last_error_at(self) -> datetime | None:
        """When it ended."""
        ...

    def lag(self) -> int | None:
        """How many records have not landed; None when nobody knows."""
        ...

    def hold(self, holding: bool) -> None:
        """Whether to take no more than is in hand."""
        ...

    def follow(self) -> Iterator[Batch]:
        """Go on reading after an error ended it; nothing comes again for that."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: Any) -> None: ...


class SourceKind(Protocol[S]):
    """What a kind of source does and is. Derive from it, and the kind has what is said here until it says otherwise.

    The facts that the checks of the project file need, too, stand in the settings' class: whether a source ends, what
    messages call it.
    """

    settings: type[S]
    """The settings of its sources in ``penstock.yml``."""
    repeats: bool = True
    """Whether a source that is read from its beginning gives again what it gave before."""

    def open(self, settings: S, opening: Opening) -> Source:
        """A source, ready to read. Nothing is connected or read yet."""
        ...

    def consume(self, settings: S, opening: Opening, until: Until) -> Consumed:
        """A source without an end, ready to read. Close it after use.

        Raises:
            UsageError: it ends, and is loaded instead.
        """
        del settings, until
        raise UsageError(f"source {opening.source} is no queue", fix=f"penstock load {opening.stream}")

    def watched(self, settings: S) -> Files | None:
        """The files that land as they arrive while ``penstock up`` is at work; None when there is nothing to watch, and
        the source is asked by a schedule or on request."""
        del settings
        return None

    def forecast(self, settings: S, opening: Opening, known: Mapping[str, State]) -> Forecast:
        """What reading would give after ``known``, position key → state, as far as it is found without reading.

        Raises:
            SourceError: the source cannot be read.
        """
        del settings, opening, known
        return Forecast()

    def check(self, name: str, settings: S, opening: Opening) -> Iterator[Finding]:
        """Look whether the source can be read, and for what is in the way; each finding's name begins with ``name``.
        Nothing is changed by it.

        Raises:
            PenstockError: it cannot be read.
        """
        records = sum(len(batch.bodies) for batch in self.sample(settings, opening))
        yield Finding(name=name, ok=True, detail=f"{count(records, 'record')} at first")

    def sample(self, settings: S, opening: Opening) -> Iterator[Batch]:
        """Some of the first records; none where they could not be had without changing anything.

        Raises:
            PenstockError: it cannot be read.
        """
        if settings.ends:
            yield from islice(self.open(settings, opening).read({}), 1)

    def datasets(self, settings: S, opening: Opening) -> list[DatasetName]:
        """What the stream reads, as lineage names it."""
        del settings, opening
        return []

    def picks_days(self, settings: S, stream: str) -> bool:
        """Whether it can be asked for single days, and then gives records of no others. Else a stream's
        ``event_time`` tells which are wanted of those that it gives."""
        del settings, stream
        return False

    def overlap(self, settings: S, stream: str) -> timedelta:
        """How long after a day its records may come, where it :meth:`picks_days`."""
        del settings, stream
        return timedelta()

    def named_fields(self, settings: S, stream: str, stream_settings: Stream) -> Iterable[NamedField]:
        """The fields that the stream's settings and the source's own name, and that its records should have."""
        del settings, stream
        return fields_named(stream_settings)

    def is_untyped(self, settings: S, stream: str, place: str) -> bool:
        """Whether the values of records from ``place``, as a batch names it, are texts without a type."""
        del settings, stream, place
        return False

    def cloudevents(self, settings: S) -> Literal["data", "envelope"]:
        """What lands of a CloudEvent."""
        del settings
        return "data"


def kind_of(settings: SourceSettings) -> SourceKind[Any]:
    """The kind of a source."""
    name = settings.type
    kind: SourceKind[Any] = (
        import_module(f"penstock.sources.{name}.kind").KIND if name in _BUILT_IN else SOURCES.kind(name)
    )
    return kind


def opening_of(project: Project, step: LoadStep) -> Opening:
    """What a step opens its source for."""
    stream = project.streams[step.stream]
    return Opening(
        source=step.source,
        stream=step.stream,
        directory=project.directory,
        window=step.window,
        fingerprint=step.fingerprint,
        lookback=step.lookback,
        refresh=stream.disposition == "replace",
        identity=stream.identity.fields,
        message_ids=stream.identity.kind == "message",
        max_record_bytes=stream.max_record_bytes,
        batch_bytes=project.load.batch_bytes,
    )


def open_source(project: Project, step: LoadStep) -> Source:
    """The source of a step, ready to read. One without an end is consumed until somebody stops to."""
    settings = project.sources[step.source]
    return kind_of(settings).open(settings, opening_of(project, step))


def consume_source(project: Project, step: LoadStep, until: Until) -> Consumed:
    """The source of a step, to be consumed.

    Raises:
        UsageError: it comes to an end.
    """
    settings = project.sources[step.source]
    return kind_of(settings).consume(settings, opening_of(project, step), until)
