"""A TCP proxy that does to connections what networks do to them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_CHUNK = 65_536
_RESET = struct.pack("ii", 1, 0)
"""``SO_LINGER`` of zero seconds: closing sends RST instead of FIN."""
_SECONDS = 10.0
_Ending = Callable[[socket.socket], Coroutine[Any, Any, None]]


class Proxy:
    """Forwards a free loopback port to ``host:port``, until it is told to do worse. A context manager.

    :meth:`cut` and :meth:`reset` strike the connections there are; the other faults also those to come. Each method
    returns when it is done.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        """Where it listens."""
        self._pairs: dict[asyncio.Task[None], tuple[socket.socket, socket.socket]] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._accepting = True
        self._bytes_per_second: float | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._do(self._listen())

    def url_of(self, url: str) -> str:
        """``url`` with the proxy's host and port."""
        parts = urlsplit(url)
        account, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{account}{at}127.0.0.1:{self.port}"))

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._pairs)

    def cut(self) -> None:
        """Close all connections in order: both sides get FIN, and what they still send is dropped."""
        self._do(self._end(_finish))

    def reset(self) -> None:
        """Break all connections: both sides get RST."""
        self._do(self._end(_break))

    def stall(self) -> None:
        """Forward nothing, both ways, and close nothing: a network cut without a word."""
        self._do(self._flow(False))

    def slow(self, bytes_per_second: float) -> None:
        """Forward no more than that a second, each way of each connection, until :meth:`resume`."""
        self._bytes_per_second = bytes_per_second

    def resume(self) -> None:
        """Forward at full speed again, beginning with what was held back."""
        self._bytes_per_second = None
        self._do(self._flow(True))

    def refuse(self) -> None:
        """Break new connections as soon as they are made; those there are go on."""
        self._accepting = False

    def accept(self) -> None:
        """Take new connections again."""
        self._accepting = True

    def close(self) -> None:
        """Close everything. Harmless again."""
        if self._loop.is_closed():
            return
        self._do(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._listener.close()
        self._loop.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _do(self, task: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(task, self._loop).result(_SECONDS)

    async def _flow(self, flows: bool) -> None:
        (self._flowing.set if flows else self._flowing.clear)()

    async def _listen(self) -> None:
        self._listening = self._loop.create_task(self._accept())

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            if not self._accepting:
                await _break(client)
                continue
            server = socket.socket(socket.AF_INET6 if ":" in self._server[0] else socket.AF_INET)
            for side in (client, server):
                side.setblocking(False)
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = self._loop.create_task(self._serve(client, server))
            self._pairs[task] = (client, server)

    async def _serve(self, client: socket.socket, server: socket.socket) -> None:
        """One connection until both sides have ended it, or one has broken it."""
        ways: list[asyncio.Task[None]] = []
        try:
            await self._loop.sock_connect(server, self._server)
            ways = [self._loop.create_task(self._forward(a, b)) for a, b in ((client, server), (server, client))]
            await asyncio.gather(*ways)
            ending: _Ending = _close
        except OSError:
            ending = _break
        except asyncio.CancelledError:  # whoever cancels closes too
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            raise
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        this = asyncio.current_task()
        assert this is not None
        self._pairs.pop(this)
        await ending(client)
        await ending(server)

    async def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        """One way of one connection. Its end is passed on after all that came before it."""
        while True:
            await self._flowing.wait()
            speed = self._bytes_per_second
            data = await self._loop.sock_recv(source, _CHUNK if speed is None else max(1, min(_CHUNK, int(speed / 10))))
            await self._flowing.wait()
            if not data:
                break
            if speed is not None:
                await asyncio.sleep(len(data) / speed)
            await self._loop.sock_sendall(sink, data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    async def _end(self, ending: _Ending) -> None:
        pairs, self._pairs = self._pairs, {}
        for task in pairs:
            task.cancel()
        await asyncio.gather(*pairs, return_exceptions=True)
        for pair in pairs.values():
            for side in pair:
                self._endings.add(task := self._loop.create_task(ending(side)))
                task.add_done_callback(self._endings.discard)
        await asyncio.sleep(0)

    async def _shut(self) -> None:
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        await self._end(_break)
        await asyncio.gather(*self._endings, return_exceptions=True)


async def _close(side: socket.socket) -> None:
    side.close()


async def _break(side: socket.socket) -> None:
    with contextlib.suppress(OSError):
        side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    side.close()


async def _finish(side: socket.socket) -> None:
    """Send FIN, and take what still comes for a while: closing a socket that holds unread bytes would send RST."""
    with contextlib.suppress(OSError, TimeoutError):
        side.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(1):
            while await asyncio.get_running_loop().sock_recv(side, _CHUNK):
                pass
    side.close()
