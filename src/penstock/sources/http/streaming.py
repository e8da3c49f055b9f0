"""CSV that comes in chunks, read by what wants a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING

from penstock.sources.http.records import BadPage

if TYPE_CHECKING:
    from penstock.ports import Reject
    from penstock.records.opening import CsvDialect
    from penstock.records.splitters import Cut
    from penstock.sources.files.tabular import Stream

_BLOCK_BYTES = 4 << 20
_BEGIN_BYTES = 1 << 10
_WEB_PAGES = (b"<!doctype html", b"<html")


def rows_of_stream(
    stream: Stream, place: str, dialect: CsvDialect, block_bytes: int
) -> Iterator[tuple[Cut, list[Reject]]]:
    """Rows of CSV.

    Raises:
        BadPage: it is a web page.
    """
    # not at the top: what it needs takes a quarter of the start of a process that reads none
    from penstock.sources.files.tabular import csv_rows

    reader = _Begun(stream)
    if reader.begins.lstrip()[:14].lower().startswith(_WEB_PAGES):
        raise BadPage("the answer is a web page, not CSV", "check base_url and the path")
    yield from csv_rows(reader, place, dialect, block_bytes)


async def csv_parts(
    chunks: AsyncGenerator[bytes], place: str, dialect: CsvDialect
) -> AsyncGenerator[tuple[Cut, list[Reject]]]:
    """Rows of CSV as it comes; it is parsed in another thread, which asks for chunks as it needs them."""
    loop = asyncio.get_running_loop()
    request: Future[bytes] | None = None

    async def following() -> bytes:
        return await anext(chunks, b"")

    def more() -> bytes:
        nonlocal request
        request = asyncio.run_coroutine_threadsafe(following(), loop)
        return request.result()

    rows = rows_of_stream(_Chunks(more), place, dialect, _BLOCK_BYTES)
    try:
        while (row := await asyncio.to_thread(next, rows, None)) is not None:
            yield row
    finally:
        if request is not None and request.cancel():
            await asyncio.sleep(0)
        await chunks.aclose()


class _Chunks:
    """A file of what ``more`` gives, until it gives nothing."""

    def __init__(self, more: Callable[[], bytes]) -> None:
        self._more = more
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        parts, held = [self._rest], len(self._rest)
        while (size < 0 or held < size) and (chunk := self._more()):
            parts.append(chunk)
            held += len(chunk)
        data = b"".join(parts)
        if size >= 0:
            data, self._rest = data[:size], data[size:]
        return data


class _Begun:
    """A file whose first bytes are known beforehand."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.begins = stream.read(_BEGIN_BYTES)
        self._rest = self.begins

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            return self._stream.read(size)
        data = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(data) :]
        return data if size >= 0 else data + self._stream.read()
