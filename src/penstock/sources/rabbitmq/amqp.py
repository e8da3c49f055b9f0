"""AMQP 0-9-1 by pika: how to reach a broker, what has to be declared there, and what its refusals mean."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pika
from pika import exceptions
from pika.adapters.utils.connection_workflow import AMQPConnectorException

from penstock.errors import SourceError
from penstock.logs import retold

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

    from penstock.project import RabbitMQ

_CONNECT_SECONDS = 10
_FIXES = {
    403: "mend user: and password:, or grant the permissions: rabbitmqctl set_permissions",
    404: "make it, or let declare: true make it",
    405: "another consumer has the queue for itself: stop it, or take another queue",
    406: "mend queue_type: and arguments: to be what the queue is, or take another queue",
    530: "mend vhost:, or make it: rabbitmqctl add_vhost",
}
_PERMANENT = tuple(_FIXES)


def connection_parameters(settings: RabbitMQ, *, name: str = "") -> pika.ConnectionParameters:
    """How to connect. The broker lists the connection under ``name``, by default the consumer's.

    Raises:
        SourceError: the TLS files cannot be read.
    """
    dead_after = 2 * settings.heartbeat_seconds
    context = tls_context(settings)
    return pika.ConnectionParameters(
        host=settings.host,
        port=settings.amqp_port,
        virtual_host=settings.vhost,
        credentials=pika.PlainCredentials(settings.user, settings.password.get_secret_value()),
        ssl_options=None if context is None else pika.SSLOptions(context, settings.host),
        heartbeat=settings.heartbeat_seconds,
        blocked_connection_timeout=300,
        socket_timeout=_CONNECT_SECONDS,
        stack_timeout=_CONNECT_SECONDS + 5,
        client_properties={"connection_name": name or settings.consumer_name, "product": "penstock"},
        tcp_options={
            "TCP_KEEPIDLE": settings.heartbeat_seconds,
            "TCP_KEEPINTVL": max(settings.heartbeat_seconds // 3, 1),
            "TCP_KEEPCNT": 3,
            "TCP_USER_TIMEOUT": 1000 * dead_after,
        },
    )


def declare_topology(channel: BlockingChannel, settings: RabbitMQ) -> int:
    """Make what is missing of exchange, queue and bindings; with ``declare: false`` only see that they are there.

    Returns:
        The messages that wait in the queue.

    Raises:
        pika.exceptions.ChannelClosedByBroker: 404 it is not there, 406 it is there and different, 403 not allowed.
    """
    if settings.exchange is not None:
        channel.exchange_declare(settings.exchange, settings.exchange_type, passive=not settings.declare, durable=True)
    arguments = {"x-queue-type": settings.queue_type, **settings.arguments} if settings.declare else None
    declared = channel.queue_declare(settings.queue, passive=not settings.declare, durable=True, arguments=arguments)
    if settings.declare and settings.exchange is not None:
        for key in settings.routing_keys:
            channel.queue_bind(settings.queue, settings.exchange, key)
    return int(declared.method.message_count)


@contextmanager
def connected(settings: RabbitMQ, *, name: str = "") -> Iterator[pika.BlockingConnection]:
    """A connection of one's own, closed at the end.

    Raises:
        SourceError: for whatever the broker refuses, in there too; messages it does not take are told as by pika.
    """
    try:
        with retold("pika"):
            connection = pika.BlockingConnection(connection_parameters(settings, name=name))
        try:
            yield connection
        finally:
            if connection.is_open:
                connection.close()
    except (exceptions.UnroutableError, exceptions.NackError):
        raise
    except (exceptions.AMQPError, OSError) as e:
        raise source_error(e, settings) from e


def is_permanent(error: BaseException) -> bool:
    """Whether trying again is of no use until somebody mends something."""
    if isinstance(error, exceptions.ChannelClosedByBroker | exceptions.ConnectionClosedByBroker):
        return error.reply_code in _PERMANENT
    if isinstance(error, exceptions.ProbableAuthenticationError | exceptions.ProbableAccessDeniedError):
        return "StreamLostError" not in str(error)  # pika guesses from how far it came: it may just have been cut
    if isinstance(error, exceptions.AuthenticationError | SourceError):
        return True
    return any(isinstance(e, ssl.SSLError) for e in _chain(error))


def source_error(error: BaseException, settings: RabbitMQ) -> SourceError:
    """What a failure means, where, and what to do about it."""
    if isinstance(error, SourceError):
        return error
    where = (
        f"{'amqp' if settings.tls is None else 'amqps'}://{settings.host}:{settings.amqp_port}/{_shown(settings.vhost)}"
    )
    if isinstance(error, exceptions.ChannelClosedByBroker | exceptions.ConnectionClosedByBroker):
        return SourceError(
            f"RabbitMQ refused: {error.reply_text}", where=where, fix=_FIXES.get(error.reply_code, "see RabbitMQ's log")
        )
    if isinstance(error, exceptions.ProbableAuthenticationError | exceptions.AuthenticationError):
        return SourceError(f"RabbitMQ does not let user {settings.user} in", where=where, fix=_FIXES[403])
    if isinstance(error, exceptions.ProbableAccessDeniedError):
        return SourceError(
            f"RabbitMQ does not let user {settings.user} into vhost {settings.vhost}", where=where, fix=_FIXES[530]
        )
    if isinstance(error, exceptions.IncompatibleProtocolError):
        return SourceError("what is there hangs up, or speaks no AMQP 0-9-1", where=where, fix="mend port: and tls:")
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLError):
            return SourceError(
                f"TLS failed: {cause.reason or cause}", where=where, fix="mend tls:, its ca and certificate"
            )
    system = next((str(e) for e in _chain(error) if isinstance(e, OSError)), "")
    said = system or str(error) or type(error).__name__
    if not system and not isinstance(error, exceptions.AMQPConnectionError | AMQPConnectorException):
        return SourceError(f"receiving broke: {said}", where=where, fix="see RabbitMQ's log")
    return SourceError(f"RabbitMQ is away: {said}", where=where, fix="start it, or mend host: and port:")


def _shown(vhost: str) -> str:
    return "" if vhost == "/" else vhost


def tls_context(settings: RabbitMQ) -> ssl.SSLContext | None:
    """How to encrypt; None when it is not wanted.

    Raises:
        SourceError: the TLS files cannot be read.
    """
    tls = settings.tls
    if tls is None:
        return None
    try:
        context = ssl.create_default_context(cafile=None if tls.ca is None else str(tls.ca))
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as e:
        named = ", ".join(str(p) for p in (tls.ca, tls.certificate, tls.key) if p is not None)
        raise SourceError(f"TLS files cannot be read: {e}", where=named, fix="mend tls: in penstock.yml") from e
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _chain(error: Any) -> Iterator[BaseException]:
    """An error and what it was made from: pika keeps causes among the arguments."""
    waiting, seen = [error], set[int]()
    while waiting:
        found = waiting.pop()
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += [found.__cause__, found.__context__, getattr(found, "exception", None), *found.args]
