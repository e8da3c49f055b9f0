"""How fast messages can be received in Python with nothing done to them: by pika's callbacks, and by a bare socket.

Each returns the seconds that it took for so many messages of a queue that holds them.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

import pika

from penstock.project import RabbitMQ
from penstock.sources.rabbitmq.amqp import connection_parameters

_PREFETCH = 10_000


def by_pika(settings: RabbitMQ, messages: int) -> float:
    """A callback for each message, an acknowledgement for each 5,000."""
    connection = pika.BlockingConnection(connection_parameters(settings))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=_PREFETCH)
    left = messages

    def callback(_: Any, method: Any, __: Any, ___: bytes) -> None:
        nonlocal left
        left -= 1
        if not left % 5000:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if not left:
            channel.stop_consuming()

    started = time.perf_counter()
    channel.basic_consume(settings.queue, callback)
    channel.start_consuming()
    seconds = time.perf_counter() - started
    connection.close()
    return seconds


def by_socket(settings: RabbitMQ, messages: int) -> float:
    """What is left without pika: read, step from frame to frame, count the deliveries."""
    frame = struct.Struct(">BHI").unpack_from
    with socket.create_connection((settings.host, settings.amqp_port)) as wire:
        _open(wire, settings)
        started = time.perf_counter()
        rest, found, acknowledged = b"", 0, 0
        while found < messages:
            data = rest + wire.recv(1 << 17)
            start, end = 0, len(data)
            while end - start >= 8:
                kind, _, size = frame(data, start)
                if start + 8 + size > end:
                    break
                found += kind == 1 and data.startswith(b"\x00\x3c\x00\x3c", start + 7)
                start += 8 + size
            rest = data[start:]
            if found - acknowledged >= 5000:
                acknowledged = found - found % 5000
                wire.sendall(_method(1, b"\x00\x3c\x00\x50" + struct.pack(">QB", acknowledged, 1)))
        return time.perf_counter() - started


def _method(channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", 1, channel, len(payload)) + payload + b"\xce"


def _short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _open(wire: socket.socket, settings: RabbitMQ) -> None:
    """The least that makes a broker send deliveries (AMQP 0-9-1, 2.2.4)."""
    answer = f"\x00{settings.user}\x00{settings.password.get_secret_value()}".encode()
    start_ok = b"\x00\x0a\x00\x0b" + struct.pack(">I", 0) + _short("PLAIN") + struct.pack(">I", len(answer)) + answer
    wire.sendall(b"AMQP\x00\x00\x09\x01")
    wire.recv(1 << 16)
    wire.sendall(_method(0, start_ok + _short("en_US")))
    wire.recv(1 << 16)
    wire.sendall(_method(0, b"\x00\x0a\x00\x1f" + struct.pack(">HIH", 1, 131_072, 0)))
    wire.sendall(_method(0, b"\x00\x0a\x00\x28" + _short(settings.vhost) + b"\x00\x00"))
    wire.recv(1 << 16)
    wire.sendall(_method(1, b"\x00\x14\x00\x0a\x00"))
    wire.recv(1 << 16)
    wire.sendall(_method(1, b"\x00\x3c\x00\x0a" + struct.pack(">IHB", 0, _PREFETCH, 0)))
    wire.recv(1 << 16)
    consume = b"\x00\x3c\x00\x14\x00\x00" + _short(settings.queue) + _short("bare") + b"\x00" + struct.pack(">I", 0)
    wire.sendall(_method(1, consume))
