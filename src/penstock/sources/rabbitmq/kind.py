"""RabbitMQ's queues as a kind of source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from penstock.extras import require
from penstock.findings import Finding
from penstock.project import RabbitMQ
from penstock.sources.datasets import DatasetName
from penstock.sources.kinds import Forecast, Opening, SourceKind, State, Until

if TYPE_CHECKING:
    from penstock.project import Project
    from penstock.sources.rabbitmq.queued import QueueSource


@dataclass(frozen=True)
class RabbitMQKind(SourceKind[RabbitMQ]):
    """Queues, classic and quorum, and streams."""

    settings = RabbitMQ
    repeats = False

    def open(self, settings: RabbitMQ, opening: Opening) -> QueueSource[Any]:
        return self.consume(settings, opening, Until())

    def consume(self, settings: RabbitMQ, opening: Opening, until: Until) -> QueueSource[Any]:
        require("rabbitmq")
        queue_source: type[QueueSource[Any]]
        if settings.protocol == "stream":
            from penstock.sources.rabbitmq.stream_source import StreamProtocolSource as queue_source
        else:
            from penstock.sources.rabbitmq.source import RabbitMQSource as queue_source

        return queue_source(
            opening.source,
            settings,
            message_ids=opening.message_ids,
            max_record_bytes=opening.max_record_bytes,
            until_empty=until.empty,
            max_messages=until.max_messages,
            max_seconds=until.max_seconds,
            stop=until.stop,
        )

    def forecast(self, settings: RabbitMQ, opening: Opening, known: Mapping[str, State]) -> Forecast:
        del opening, known
        return Forecast(words=f"from {settings.queue_type} queue {settings.queue} at {settings.address}")

    def check(self, name: str, settings: RabbitMQ, opening: Opening) -> Iterator[Finding]:
        from penstock.sources.rabbitmq.checking import check_queue

        del opening
        yield from check_queue(name, settings)

    def datasets(self, settings: RabbitMQ, opening: Opening) -> list[DatasetName]:
        del opening
        space = f"amqp://{settings.host}:{settings.amqp_port}"
        name = f"{settings.vhost.strip('/')}/{settings.queue}".lstrip("/")
        return [DatasetName(namespace=space, name=name, uri=space)]

    def cloudevents(self, settings: RabbitMQ) -> Literal["data", "envelope"]:
        return settings.cloudevents


KIND = RabbitMQKind()


def queues_of(project: Project) -> dict[str, RabbitMQ]:
    """The project's queues, by the names of their sources."""
    return {name: s for name, s in project.sources.items() if isinstance(s, RabbitMQ)}
