"""An HTTP API that answers as a test says, down to the bytes on the wire. HTTP/1.1, and HTTP/2 over TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import h2.config
import h2.connection
import h2.events

_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it came. Header names are small; ``connection`` counts from 0; ``at`` is monotonic."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    version: str = "1.1"
    at: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters."""
        return dict(parse_qsl(urlsplit(self.target).query))


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """Bytes to send, and what to do with the connection then."""

    data: bytes | Sequence[bytes]
    then: Literal["keep", "close", "reset", "stall"] = "keep"
    after: float = 0.0
    """Seconds to wait before."""


def reply(body: bytes | str = b"", status: int = 200, **headers: str) -> Raw:
    """A right answer; ``_`` in the names of headers stands for ``-``."""
    body = body.encode() if isinstance(body, str) else body
    return Raw(data=head(status, content_length=str(len(body)), **headers) + body)


def head(status: int = 200, **headers: str) -> bytes:
    """The head of an answer."""
    lines = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode()


class Api:
    """Listens on a free loopback port, and has ``answer`` answer; a context manager. ``asked`` are the requests."""

    def __init__(self, answer: Callable[[Asked], Raw], *, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self.asked: list[Asked] = []
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Api:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: Any) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._listen())
        self._loop.close()

    async def _listen(self) -> None:
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.connections = self.connections, self.connections + 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            ssl_object = writer.get_extra_info("ssl_object")
            if ssl_object is not None and ssl_object.selected_alpn_protocol() == "h2":
                await self._http2(reader, writer, number)
            else:
                while await self._one(reader, writer, number):
                    pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        asked = Asked(method=method, target=target, headers=headers, body=body, connection=number)
        self.asked.append(asked)
        raw = self._answer(asked)
        await asyncio.sleep(raw.after)
        for data in [raw.data] if isinstance(raw.data, bytes) else raw.data:
            writer.write(data)
            await writer.drain()
        if raw.then == "stall":
            await reader.read()
        if raw.then == "reset":
            await asyncio.sleep(0.05)  # let the client read what came before
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        return raw.then == "keep"

    async def _http2(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        """Answers with the status, headers and body of what would be sent by HTTP/1.1."""
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(65_536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    headers = {_str(k): _str(v) for k, v in event.headers}
                    asked = Asked(
                        method=headers[":method"],
                        target=headers[":path"],
                        headers=headers,
                        body=b"",
                        connection=number,
                        version="2",
                    )
                    self.asked.append(asked)
                    raw = self._answer(asked)
                    assert isinstance(raw.data, bytes)
                    top, _, body = raw.data.partition(b"\r\n\r\n")
                    first, *lines = top.decode().split("\r\n")
                    pairs = (line.partition(": ") for line in lines)
                    said = [(":status", first.split(" ")[1]), *((name, value) for name, _, value in pairs)]
                    connection.send_headers(event.stream_id, said)
                    connection.send_data(event.stream_id, body, end_stream=True)
            writer.write(connection.data_to_send())
            await writer.drain()


def certify(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context for 127.0.0.1, and the certificate that has to be trusted."""
    certificate, key = folder / "server.pem", folder / "server.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=penstock test", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", str(certificate), "-keyout", str(key)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context, certificate


def _str(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
