"""The settings of a RabbitMQ source. Names, types and docstrings here are the reference that users read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from penstock.project.group import from_url, none
from penstock.project.sources import SourceSettings
from penstock.project.tls_settings import Tls
from penstock.project.values import ByteSize, Frozen, OneOrMany
from penstock.project.yaml_document import Document, Problem

_EXPECTED = "expected amqp://user:password@host:port/vhost, or amqps:// for TLS"
_TLS_PARAMETERS = {"cacertfile": "ca", "certfile": "certificate", "keyfile": "key"}


def _tls(value: Any) -> Any:
    if isinstance(value, bool | str):
        return {"true": {}, "false": None}.get(str(value).lower(), value)
    return value


class RabbitMQ(SourceSettings):
    """A RabbitMQ queue: classic, quorum or stream. It feeds one stream."""

    noun: ClassVar[str] = "a queue"
    ends: ClassVar[bool] = False
    has_message_ids: ClassVar[bool] = True

    type: Literal["rabbitmq"]
    """Which kind of source this is."""
    url: SecretStr | None = Field(default=None, exclude=True)
    """All of the connection in one, `amqp://user:password@host:port/vhost` (`amqps://` for TLS), instead of the
    settings below."""
    host: str = "localhost"
    """Host name or address."""
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Port. 5672 by default, 5671 with TLS."""
    user: str = "guest"
    """User."""
    password: SecretStr = SecretStr("guest")
    """Password; never shown."""
    vhost: str = "/"
    """Virtual host."""
    tls: Annotated[Tls | None, BeforeValidator(_tls)] = None
    """How the connection is encrypted; `true` for the defaults, `false` for not at all."""
    queue: str = Field(min_length=1, max_length=255)
    """The queue's name."""
    queue_type: Literal["classic", "quorum", "stream"] = "quorum"
    """What the queue is declared as."""
    declare: bool = True
    """Whether queue, exchange and bindings are made when they are missing. With `false` the queue has to be there."""
    arguments: Annotated[Mapping[str, bool | int | float | str], Frozen] = Field(default_factory=none)
    """More arguments of the queue's declaration, such as `x-dead-letter-exchange`."""
    exchange: str | None = Field(default=None, min_length=1, max_length=255)
    """An exchange to bind the queue to. Without one, messages are published to the queue itself."""
    exchange_type: Literal["direct", "fanout", "topic", "headers"] = "topic"
    """What the exchange is declared as."""
    routing_keys: OneOrMany = ("#",)
    """The key, or the list of keys, that the queue is bound with."""
    protocol: Literal["amqp", "stream"] = "amqp"
    """`stream` reads a stream queue by RabbitMQ's own stream protocol, several times as fast."""
    stream_port: Annotated[int, Field(ge=1, le=65_535)] = 5552
    """Port of the stream protocol; with TLS mostly 5551."""
    management_port: Annotated[int, Field(ge=1, le=65_535)] = 15_672
    """Port of the management API, by HTTPS when there is `tls`. Only `penstock doctor` asks it, as the same user."""
    prefetch: Annotated[int, Field(ge=1, le=65_535)] = 20_000
    """How many messages the broker sends ahead of those landed. By the stream protocol it is about a batch's bytes."""
    consumer_name: str = Field(default="penstock", min_length=1, max_length=100)
    """The name under which the broker lists the connection and the consumer."""
    heartbeat_seconds: Annotated[int, Field(ge=1, le=3_600)] = 30
    """A connection silent for this long is given up, and made again."""
    batch_messages: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """A batch lands when it has this many messages,"""
    batch_bytes: Annotated[ByteSize, Field(ge=1, le=1_073_741_824)] = 8_388_608
    """or this many bytes, 8 MiB by default,"""
    batch_seconds: Annotated[float, Field(gt=0, le=3_600)] = 0.25
    """or this long after its first message came."""
    cloudevents: Literal["data", "envelope"] = "data"
    """What lands of a CloudEvent: its data, or the whole of it in its JSON form."""

    @model_validator(mode="before")
    @classmethod
    def _from_url(cls, data: Any) -> Any:
        return from_url(data, {"host", "port", "user", "password", "vhost"}, _connection_of)

    @property
    def address(self) -> str:
        """``host:port`` of the protocol that is read by."""
        port = self.stream_port if self.protocol == "stream" else self.amqp_port
        return f"{self.host}:{port}"

    @property
    def amqp_port(self) -> int:
        """The port of AMQP, said or by default."""
        return self.port or (5672 if self.tls is None else 5671)

    def problems(self, name: str, fed: Sequence[str], document: Document) -> Iterator[Problem]:
        """One stream takes what is in a queue; and some settings have a meaning beside others alone."""
        path = ("sources", name)
        if len(fed) > 1:
            what = f"source {name!r} is a queue, which feeds one stream, and {fed[0]} takes it already"
            fix = "give each stream a queue of its own, bound to the same exchange"
            yield from (document.problem(("streams", stream, "from"), what, fix) for stream in fed[1:])
        if self.protocol == "stream" and self.queue_type != "stream":
            what = f"the stream protocol reads stream queues alone, and this one is {self.queue_type}"
            yield document.problem((*path, "protocol"), what, "set queue_type: stream, or leave protocol out")
        if self.exchange is None and (*path, "routing_keys") in document.marks:
            yield document.problem((*path, "routing_keys"), "has no meaning without an exchange", "name the exchange")


def _connection_of(url: str) -> dict[str, Any]:
    """Settings of an AMQP URI, in which an empty path means the default vhost."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(_EXPECTED) from None
    if parts.scheme not in ("amqp", "amqps") or not parts.hostname:
        raise ValueError(_EXPECTED)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    tls: dict[str, Any] = {name: query.pop(key) for key, name in _TLS_PARAMETERS.items() if key in query}
    if (verify := query.pop("verify", None)) is not None:
        tls["verify"] = verify != "verify_none"
    settings: dict[str, Any] = {
        "host": parts.hostname,
        "port": port,
        "user": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "vhost": unquote(parts.path[1:]) or None,
        "heartbeat_seconds": query.pop("heartbeat", None),
        "tls": tls if parts.scheme == "amqps" else None,
    }
    if query:
        raise ValueError(f"url has parameters that are not known: {', '.join(sorted(query))}")
    return {k: v for k, v in settings.items() if v is not None}
