"""A real HTTP API on a free loopback port, whose answers a test writes as a function."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request: the n-th, from 1."""

    number: int
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def page(self, name: str = "page", default: int = 1) -> int:
        """A parameter that is a number."""
        return int(self.query.get(name, default))


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer. ``fault``: ``reset`` the connection instead, ``cut`` it in the middle, ``stall`` in the middle."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""


def said(value: Any, **more: Any) -> Said:
    """A JSON answer."""
    return Said(body=json.dumps(value).encode(), **more)


class Api:
    """A server for as long as its context lasts. ``asked`` has all requests, in the order in which they came."""

    def __init__(self, answer: Callable[[Asked], Said]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                api._serve(self)

            do_POST = do_PUT = do_DELETE = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                """A client that is killed breaks its connections."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        length = int(handler.headers.get("content-length") or 0)
        with self._lock:
            asked = Asked(
                number=len(self.asked) + 1,
                method=handler.command,
                path=parts.path,
                query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                headers={k.lower(): v for k, v in handler.headers.items()},
                body=handler.rfile.read(length),
            )
            self.asked.append(asked)
        answer = self.answer(asked)
        if answer.fault == "reset":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        for name, value in {"content-type": "application/json", **answer.headers}.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(answer.body)))
        handler.end_headers()
        if not answer.fault:
            handler.wfile.write(answer.body)
            return
        handler.wfile.write(answer.body[: len(answer.body) // 2])
        handler.wfile.flush()
        if answer.fault == "stall":
            self._ended.wait(30)
        handler.close_connection = True

    def paths(self) -> list[str]:
        """What was asked for, as ``path?query``."""
        return [
            a.path + ("?" if a.query else "") + "&".join(f"{k}={v}" for k, v in a.query.items()) for a in self.asked
        ]

    def __enter__(self) -> Api:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def pages_of(records: Sequence[Any], size: int, **around: Any) -> Callable[[Asked], Said]:
    """Pages by number, the records under ``data``."""

    def answer(asked: Asked) -> Said:
        first = (asked.page() - 1) * size
        return said({**around, "data": records[first : first + size]})

    return answer
