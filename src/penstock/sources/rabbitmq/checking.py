"""Looks at a queue and its broker for what would lose messages or stop the consumer, and says how to mend each."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

from penstock.extras import require
from penstock.findings import Finding
from penstock.plural import count

if TYPE_CHECKING:
    from penstock.project import RabbitMQ

_API_SECONDS = 5
_USUAL_DELIVERIES = 20
"""RabbitMQ 4 gives a message of a quorum queue up after so many deliveries (its guide on quorum queues)."""
_FEW_DELIVERIES = 5
_USUAL_TIMEOUT_SECONDS = 1_800.0
"""After which RabbitMQ closes a channel that has not acknowledged (its guide on consumers)."""
_REFUSED, _MISSING = 403, 404


def check_queue(name: str, settings: RabbitMQ) -> list[Finding]:
    """What there is to say of a queue. Nothing is changed and no message is delivered.

    Raises:
        SourceError: the broker is away or refuses.
    """
    require("rabbitmq")
    from penstock.sources.rabbitmq.amqp import connected

    with connected(settings, name=f"{settings.consumer_name} doctor") as connection:
        server: Any = connection._impl.server_properties  # noqa: SLF001 - it has no other way in
        version = str(server.get("version", ""))
        waiting = _waiting(connection, settings)
        shown = f"{settings.queue_type} queue {settings.queue}, "
        shown += "will be declared" if waiting is None else f"{count(waiting, 'message')} waiting"
        checks = [
            Finding(name=name, ok=True, detail=f"{shown}, RabbitMQ {version}"),
            _check_permissions(f"{name}, permissions", connection, settings),
        ]
    try:
        queue = _ask(settings, f"queues/{quote(settings.vhost, safe='')}/{quote(settings.queue, safe='')}")
    except _NoAnswer as e:
        detail = f"{e}; policies, the queue's arguments and the messages' size are not looked at"
        return [
            *checks,
            Finding(name=f"{name}, management API", ok=True, detail=detail),
            *_check_settings(name, settings),
        ]
    if queue is None:
        return [*checks, *_check_settings(name, settings)]
    return [*checks, *_check_facts(name, settings, queue, version)]


def _waiting(connection: Any, settings: RabbitMQ) -> int | None:
    """Messages in the queue; None when it is not there and would be declared."""
    from pika.exceptions import ChannelClosedByBroker

    try:
        return int(connection.channel().queue_declare(settings.queue, passive=True).method.message_count)
    except ChannelClosedByBroker as e:
        if e.reply_code == _MISSING and settings.declare:
            return None
        raise


def _check_permissions(name: str, connection: Any, settings: RabbitMQ) -> Finding:
    """Asked for by calls that cannot do anything: RabbitMQ looks at the permission first, then finds them void."""
    nowhere = uuid4().hex
    queue, exchange = settings.queue, settings.exchange

    def bind(channel: Any) -> None:
        channel.queue_unbind(queue, exchange or "", nowhere)

    def publish(channel: Any) -> None:
        channel.confirm_delivery()
        channel.basic_publish("", nowhere, b"")

    def declare(channel: Any) -> None:
        if _exists(connection, queue):
            arguments = {"x-queue-type": settings.queue_type, **settings.arguments}
            channel.queue_declare(queue, durable=True, arguments=arguments)
        else:
            channel.queue_delete(queue)

    def consume(channel: Any) -> None:
        # no queue takes a priority that is no number, and no stream a consumer without a prefetch
        channel.basic_consume(queue, lambda *_: None, arguments={"x-priority": "none"})

    needed: dict[str, Callable[[Any], None]] = {"read": consume}
    if settings.declare:
        needed["configure"] = declare
        if exchange is not None:
            needed["write"] = bind
    missing = [word for word, probe in needed.items() if _refused(connection, probe)]
    if missing:
        return Finding(
            name=name,
            ok=False,
            detail=f"user {settings.user} may not {', '.join(missing)} in vhost {settings.vhost}",
            fix=f"rabbitmqctl set_permissions -p {settings.vhost} {settings.user} '.*' '.*' '.*'"
            " (configure, write, read; or patterns that match the queue and the exchange)"
            + ("; or declare: false, for a queue that others make" if missing == ["configure"] else ""),
            exit_code=4,
        )
    detail = f"{', '.join(needed)} granted"
    if "write" not in needed and _refused(connection, publish):
        detail += "; no write, which only penstock publish needs"
    return Finding(name=name, ok=True, detail=detail)


def _refused(connection: Any, probe: Callable[[Any], None]) -> bool:
    """Whether the broker closes the channel over a permission; what else it closes it over is its void call."""
    from pika.exceptions import ChannelClosedByBroker

    channel = connection.channel()
    try:
        probe(channel)
    except ChannelClosedByBroker as e:
        return bool(e.reply_code == _REFUSED)
    channel.close()
    return False


def _exists(connection: Any, queue: str) -> bool:
    from pika.exceptions import ChannelClosedByBroker

    try:
        connection.channel().queue_declare(queue, passive=True)
    except ChannelClosedByBroker:
        return False
    return True


def _check_settings(name: str, settings: RabbitMQ) -> Iterator[Finding]:
    """What the project file alone says."""
    yield _check_timeout(name, settings, settings.arguments)


def _check_facts(name: str, settings: RabbitMQ, queue: Mapping[str, Any], version: str) -> Iterator[Finding]:
    """What the management API tells of the queue."""
    policy = {**(queue.get("operator_policy_definition") or {}), **(queue.get("effective_policy_definition") or {})}
    facts = {**policy, **{k.removeprefix("x-"): v for k, v in (queue.get("arguments") or {}).items()}}
    kind = str(queue.get("type", "classic"))
    yield _check_type(name, settings, kind)
    if kind == "quorum":
        yield _check_deliveries(name, settings, facts, version)
    if "ha-mode" in policy:
        yield Finding(
            name=f"{name}, mirroring",
            ok=False,
            detail=f"policy {queue.get('policy')} mirrors it (ha-mode), which RabbitMQ 4 has no more",
            fix="make a quorum queue instead: it is replicated by itself; then "
            f"rabbitmqctl clear_policy -p {settings.vhost} {queue.get('policy')}",
        )
    yield _check_timeout(name, settings, {f"x-{k}": v for k, v in facts.items()})
    if count := int(queue.get("messages") or 0):
        yield _check_prefetch(name, settings, int(queue.get("message_bytes") or 0) / count)


def _check_type(name: str, settings: RabbitMQ, kind: str) -> Finding:
    return Finding(
        name=f"{name}, type",
        ok=kind == settings.queue_type,
        detail=kind if kind == settings.queue_type else f"the queue is {kind}, the project says {settings.queue_type}",
        fix=f"queue_type: {kind}, or take another queue",
        exit_code=2,
    )


def _check_deliveries(name: str, settings: RabbitMQ, facts: Mapping[str, Any], version: str) -> Finding:
    """A consumer that is killed has its messages delivered again, and each time counts."""
    name = f"{name}, dead letters"
    major = int(version.partition(".")[0]) if version.partition(".")[0].isdecimal() else 4
    given = facts.get("delivery-limit")
    limit = int(given) if given is not None else _USUAL_DELIVERIES if major >= 4 else None
    if limit is not None and limit < 0:
        limit = None
    target = facts.get("dead-letter-exchange")
    command = (
        f"rabbitmqctl set_policy -p {settings.vhost} dead-letters '^{settings.queue}$'"
        ' \'{"dead-letter-exchange": "NAME"}\' --apply-to queues, with a queue bound to that exchange'
    )
    if target is None and limit is not None:
        return Finding(
            name=name,
            ok=False,
            detail=f"no dead-letter exchange: a message is dropped after {limit} deliveries",
            fix=command,
        )
    if limit is not None and limit < _FEW_DELIVERIES:
        return Finding(
            name=name,
            ok=False,
            detail=f"a message leaves the queue after {limit} deliveries, and each crash of a consumer is one",
            fix=f"x-delivery-limit: {_USUAL_DELIVERIES} or more, in a policy or when the queue is made",
        )
    if target is None:
        return Finding(name=name, ok=True, detail=f"none, and no delivery limit; before RabbitMQ 4 comes: {command}")
    return Finding(
        name=name, ok=True, detail=f"to exchange {target or 'amq.default'}, {limit or 'no'} deliveries at most"
    )


def _check_timeout(name: str, settings: RabbitMQ, arguments: Mapping[str, Any]) -> Finding:
    given = arguments.get("x-consumer-timeout")
    timeout = _USUAL_TIMEOUT_SECONDS if given is None else float(given) / 1000
    # a message may wait for its batch to fill while the one before lands
    held = 2 * settings.batch_seconds
    source = "RabbitMQ's default, if rabbitmq.conf says no other" if given is None else "as the queue has it"
    return Finding(
        name=f"{name}, consumer timeout",
        ok=held < timeout,
        detail=f"{timeout:,.0f} s ({source}), and batch_seconds: {settings.batch_seconds:g} holds messages for longer"
        if held >= timeout
        else f"{timeout:,.0f} s ({source})",
        fix=f"batch_seconds: {min(timeout / 10, 60):g}, or a longer consumer_timeout",
    )


def _check_prefetch(name: str, settings: RabbitMQ, message_bytes: float) -> Finding:
    from penstock.sources.rabbitmq.receiver import WAITING_BYTES

    ahead = settings.prefetch * message_bytes
    shown = f"{settings.prefetch:,} messages of {message_bytes:,.0f} bytes are {ahead / 2**20:,.1f} MiB sent ahead"
    return Finding(
        name=f"{name}, prefetch",
        ok=ahead <= WAITING_BYTES,
        detail=shown if ahead <= WAITING_BYTES else f"{shown}, more than the {WAITING_BYTES >> 20} MiB that are held",
        fix=f"prefetch: {max(int(WAITING_BYTES / max(message_bytes, 1)), 1)}",
    )


class _NoAnswer(Exception):
    """The management API cannot be asked; the text says why, and what to do."""


def _ask(settings: RabbitMQ, path: str) -> dict[str, Any] | None:
    """What the management API answers; None when there is no such thing."""
    from penstock.sources.rabbitmq.amqp import tls_context

    secure = settings.tls is not None
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    base = f"{'https' if secure else 'http'}://{host}:{settings.management_port}"
    account = f"{settings.user}:{settings.password.get_secret_value()}"
    headers = {"authorization": "Basic " + base64.b64encode(account.encode()).decode()}
    request = urllib.request.Request(f"{base}/api/{path}", headers=headers)  # noqa: S310 - http or https, see above
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls_context(settings))
    )
    try:
        with opener.open(request, timeout=_API_SECONDS) as answer:
            facts: dict[str, Any] = json.loads(answer.read())
            return facts
    except urllib.error.HTTPError as e:
        if e.code == _MISSING:
            return None
        hint = f"rabbitmqctl set_user_tags {settings.user} management" if e.code in (401, _REFUSED) else "see its log"
        raise _NoAnswer(f"{base} answers {e.code}: {hint}") from None
    except (OSError, ValueError) as e:
        why = e.reason if isinstance(e, urllib.error.URLError) else e
        hint = "rabbitmq-plugins enable rabbitmq_management, or mend management_port:"
        raise _NoAnswer(f"{base} does not answer ({why}): {hint}") from None
