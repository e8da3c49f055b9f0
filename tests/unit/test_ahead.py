"""Batches that are read and shaped ahead come out in their order, as if one had been shaped after the other."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pyarrow as pa
import pytest

from penstock.errors import SourceError
from penstock.land.ahead import BYTES_AT_ONCE, Ahead
from penstock.ports import Batch, Segment, Shaped, Taken
from penstock.schema import Column, Schema

BATCHES = 30
AT_ONCE = 4


def _batch(number: int, size: int = 1) -> Batch:
    body = str(number).encode()
    return Batch(bodies=pa.array([body], pa.binary()), segments=[Segment(start=0, place="", number=0)], bytes=size)


def _number(batch: Batch) -> int:
    return int(batch.bodies[0].as_py())


def _grown(schema: Schema, number: int) -> Schema:
    """Each third batch brings a column, and the first one makes the table."""
    if number % 3:
        return schema
    return schema.grown([Column(field=f"f{number}", name=f"f{number}", type="text")])


def _shaped(batch: Batch, before: Schema) -> Shaped:
    """Of a batch, its number and what it was shaped after."""
    return Shaped(
        rows=pa.table({"number": [_number(batch)], "after": [before.version]}),
        refused=lambda row, code, reason: pytest.fail(f"{row} {code} {reason}"),
        schema=_grown(before, _number(batch)),
        taken=lambda: Taken(bodies=batch.bodies, rejects=(), untyped=False),
        rejects=(),
        read=1,
        duplicates=0,
        bytes=batch.bytes,
    )


def test_each_batch_is_shaped_after_the_one_before_it() -> None:
    """Whichever is ready first, the order is that of reading, and the schema that of the batch before."""
    draw = random.Random(1)
    at_work, most = 0, 0
    counting = threading.Lock()

    def shape(batch: Batch, schema: Schema) -> Shaped:
        nonlocal at_work, most
        with counting:
            at_work += 1
            most = max(most, at_work)
        time.sleep(draw.uniform(0, 0.01))
        with counting:
            at_work -= 1
        return _shaped(batch, schema)

    schema, versions, numbers = Schema(), [], []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        batches = (_batch(n) for n in range(BATCHES))
        with closing(Ahead(batches, shape, schema, pool=pool, at_once=AT_ONCE)) as ahead:
            while ahead.next() is not None:
                shaped = ahead.shaped(schema)
                assert shaped.rows["after"][0].as_py() == schema.version
                schema = shaped.schema
                versions.append(schema.version)
                numbers.append(shaped.rows["number"][0].as_py())
    assert numbers == list(range(BATCHES))
    assert versions == [n // 3 + 1 for n in range(BATCHES)]
    assert 1 < most <= AT_ONCE


def test_a_schema_that_others_made_grow_is_shaped_after() -> None:
    """What was shaped before another load's columns were known is shaped again."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        batches = (_batch(n) for n in range(1, 3))
        with closing(Ahead(batches, _shaped, Schema(version=1), pool=pool, at_once=AT_ONCE)) as ahead:
            ahead.next()
            assert ahead.shaped(Schema(version=1)).rows["after"][0].as_py() == 1
            assert ahead.shaped(Schema(version=7)).rows["after"][0].as_py() == 7
            ahead.next()
            assert ahead.shaped(Schema(version=7)).rows["after"][0].as_py() == 7


def test_reading_stays_within_its_bytes() -> None:
    """No more is read than the shapers may have waiting, and one batch; a larger batch comes alone."""
    read: list[int] = []

    def batches() -> Iterator[Batch]:
        for number, size in enumerate([BYTES_AT_ONCE, BYTES_AT_ONCE, BYTES_AT_ONCE * 9, 1, 1]):
            read.append(number)
            yield _batch(number, size)

    with ThreadPoolExecutor(2) as pool, closing(Ahead(batches(), _shaped, Schema(), pool=pool, at_once=2)) as ahead:
        for most in (2, 3, 3, 4, 4):
            time.sleep(0.1)
            assert max(read) <= most
            assert ahead.next() is not None
            ahead.shaped(Schema())
        assert ahead.next() is None


@pytest.mark.parametrize(("at_once", "waiting"), [(1, 1), (2, 1), (4, 3)])
def test_few_batches_wait(at_once: int, waiting: int) -> None:
    """Beside the batch that was taken there wait those for the other shapers, and one more is read."""
    read: list[int] = []

    def batches() -> Iterator[Batch]:
        for number in range(BATCHES):
            read.append(number)
            yield _batch(number)

    with (
        ThreadPoolExecutor(at_once) as pool,
        closing(Ahead(batches(), _shaped, Schema(), pool=pool, at_once=at_once)) as ahead,
    ):
        for taken in range(1, 4):
            assert ahead.next() is not None
            ahead.shaped(Schema())
            time.sleep(0.1)
            assert len(read) <= taken + waiting + 1


def test_what_reading_raises_comes_after_what_was_read() -> None:
    """A source that fails has given its batches before."""

    def batches() -> Iterator[Batch]:
        yield _batch(1)
        yield _batch(2)
        raise SourceError("gone")

    with ThreadPoolExecutor(2) as pool, closing(Ahead(batches(), _shaped, Schema(), pool=pool, at_once=2)) as ahead:
        for number in (1, 2):
            batch = ahead.next()
            assert batch is not None
            assert _number(batch) == number
        with pytest.raises(SourceError):
            ahead.next()


def test_closing_ends_a_reader_that_waits_for_room() -> None:
    """Batches that nobody takes keep no thread."""
    with ThreadPoolExecutor(1) as pool:
        ahead = Ahead((_batch(n) for n in range(BATCHES)), _shaped, Schema(), pool=pool, at_once=1)
        ahead.next()
        ahead.close()
    assert "read" not in {thread.name for thread in threading.enumerate()}
