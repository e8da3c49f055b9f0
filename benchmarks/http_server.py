"""An API with pages of records, each answered after a while: little more than a socket, so as to take little itself.

Usage: python -m benchmarks.http_server FILE PAGE_SIZE SECONDS

Prints its address; ``/records?page=N`` answers ``{"total": …, "data": […]}``, and ``/first`` when the first page was
asked for, in seconds since 1970, which it then forgets.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from pathlib import Path

_PAGE = re.compile(rb"[?&]page=(\d+)")


class Server:
    """Pages made beforehand."""

    def __init__(self, path: Path, size: int, seconds: float) -> None:
        lines = path.read_bytes().splitlines()
        self._seconds = seconds
        head = b'{"total": %d, "data": [' % len(lines)
        self._pages = [_answer(head + b",".join(lines[at : at + size]) + b"]}") for at in range(0, len(lines), size)]
        self._end = _answer(head + b"]}")
        self._first = 0.0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                target = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
                if target.startswith(b"/first"):
                    writer.write(_answer(b"%.6f" % self._first))
                    self._first = 0.0
                else:
                    self._first = self._first or time.time()
                    await asyncio.sleep(self._seconds)
                    match = _PAGE.search(target)
                    number = int(match[1]) if match else 1
                    writer.write(self._pages[number - 1] if number <= len(self._pages) else self._end)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


async def main() -> None:
    """Serve until killed."""
    path, size, seconds = sys.argv[1:4]
    server = await asyncio.start_server(Server(Path(path), int(size), float(seconds)), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
