"""RabbitMQ queues as a source."""

from __future__ import annotations

from typing import Any


class RabbitMQSource:
    """Reads a queue."""

    name: str

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError

    read: Any
    acknowledge: Any
