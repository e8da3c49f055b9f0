"""The script that people write to get messages into PostgreSQL: as it is, and with batches of 100.

Usage: python -m benchmarks.queue_peers SIZE MESSAGES AMQP_URL QUEUE POSTGRES_URL

One INSERT for each message into a table of the event's columns, no deduplication; a commit, then an acknowledgement,
after each ``SIZE`` of them.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pika
import psycopg

COLUMNS = (
    "id",
    "event_type",
    "username",
    "user_email",
    "user_type",
    "organization_name",
    "plan_name",
    "received_at",
)
_TABLE = f"create table if not exists events ({', '.join(f'{c} text' for c in COLUMNS[:-1])}, received_at timestamp)"
_INSERT = f"insert into events values ({', '.join(['%s'] * len(COLUMNS))})"


def main(size: int, messages: int, url: str, queue: str, database: str) -> None:
    """Print the seconds from the first message to the last acknowledgement."""
    with psycopg.connect(database) as warehouse, warehouse.cursor() as cursor:
        cursor.execute(_TABLE)
        warehouse.commit()
        connection = pika.BlockingConnection(pika.URLParameters(url))
        channel = connection.channel()
        channel.basic_qos(prefetch_count=max(size, 100))
        done = 0

        def callback(_: Any, method: Any, __: Any, body: bytes) -> None:
            nonlocal done
            record = json.loads(body)
            cursor.execute(_INSERT, [record.get(column) for column in COLUMNS])
            done += 1
            if not done % size:
                warehouse.commit()
                channel.basic_ack(method.delivery_tag, multiple=size > 1)
            if done == messages:
                channel.stop_consuming()

        started = time.perf_counter()
        channel.basic_consume(queue, callback)
        channel.start_consuming()
        print(time.perf_counter() - started)
        connection.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:6])
