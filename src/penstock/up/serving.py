"""The health endpoint of ``penstock up``, and its answers to ``penstock query`` and ``penstock status``."""

from __future__ import annotations

import errno
import hmac
import ipaddress
import json
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from penstock.errors import PenstockError, UsageError
from penstock.ports import Rows
from penstock.system import port_holder
from penstock.up.figures import CONTENT_TYPE
from penstock.up.wire import dump_rows, from_json

_JSON = "application/json"
_MAX_BODY_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What is answered, each called in a thread of the server.

    ``unready`` gives the reasons why the process is not ready, none when it is; ``note`` what else there is to say.
    ``query`` runs a statement with its parameters, and is told whether it may only read.
    """

    unready: Callable[[], list[str]]
    note: Callable[[], str]
    metrics: Callable[[], bytes]
    status: Callable[[], dict[str, Any]]
    query: Callable[[str, Sequence[Any], bool], Rows]
    run: Callable[[list[str]], list[dict[str, Any]]]


class Server:
    """An HTTP server in a thread of its own.

    ``/healthz``, ``/readyz`` and ``/metrics`` are for all who reach it; ``/status``, ``/query`` and ``/run`` for this
    machine and who knows the token.

    Raises:
        OSError: the address cannot be listened on.
    """

    def __init__(self, host: str, port: int, token: str, answers: Answers) -> None:
        class Listening(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
            daemon_threads = True

        self._server = Listening((host, port), _handler(token, answers))
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


def listening(host: str, port: int, token: str, answers: Answers) -> Server:
    """A server on this address; on a free port when that is 0.

    Raises:
        UsageError: the port is taken, by whom; or the address is none of this machine's.
    """
    try:
        return Server(host, port, token, answers)
    except OSError as e:
        if e.errno == errno.EADDRINUSE:
            holder = port_holder(port) or "another process"
            raise UsageError(
                f"port {port} is taken by {holder}",
                where=f"{host}:{port}",
                fix="stop that, or take another port: --port N, or up: {port: N} in penstock.yml; 0 is a free one",
            ) from None
        raise UsageError(
            f"cannot listen: {e}", where=f"{host}:{port}", fix="choose another with --host or --port"
        ) from None


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _handler(token: str, answers: Answers) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/healthz":
                    self._answer(200, b"ok\n")
                case "/readyz":
                    reasons = answers.unready()
                    lines = [*(reasons or ["ready"]), *filter(None, [answers.note()])]
                    self._answer(503 if reasons else 200, "".join(f"{line}\n" for line in lines).encode())
                case "/metrics":
                    self._answer(200, answers.metrics(), CONTENT_TYPE)
                case "/status" if self._allowed():
                    self._perform(lambda: json.dumps(answers.status(), default=_text).encode())
                case "/status":
                    self._refuse()
                case _:
                    self._answer(404, b"not here\n")

        def do_POST(self) -> None:
            if self.path not in ("/query", "/run"):
                self._answer(404, b"not here\n")
            elif not self._allowed():
                self._refuse()
            elif self.path == "/query":
                self._perform(lambda: dump_rows(self._queried()))
            else:
                self._perform(lambda: json.dumps(self._run(), default=_text).encode())

        def _queried(self) -> Rows:
            question = self._content()
            parameters = from_json(question.get("parameters", ()))
            return answers.query(str(question["sql"]), parameters, bool(question.get("read_only")))

        def _run(self) -> list[dict[str, Any]]:
            return answers.run([str(stream) for stream in self._content()["streams"]])

        def _content(self) -> dict[str, Any]:
            size = int(self.headers.get("Content-Length") or 0)
            if size > _MAX_BODY_BYTES:
                raise ValueError("the statement is too long")
            content: dict[str, Any] = json.loads(self.rfile.read(size))
            return content

        def _allowed(self) -> bool:
            given = self.headers.get("Authorization", "").encode()
            near = ipaddress.ip_address(self.client_address[0].partition("%")[0])
            mapped = near.ipv4_mapped if isinstance(near, ipaddress.IPv6Address) else None
            return (mapped or near).is_loopback and hmac.compare_digest(given, f"Bearer {token}".encode())

        def _refuse(self) -> None:
            # what is not read of the request would be taken for the next one
            self.close_connection = True
            self._answer(403, json.dumps({"what": "this needs the token of the process"}).encode(), _JSON)

        def _perform(self, work: Callable[[], bytes]) -> None:
            try:
                content = work()
            except PenstockError as e:
                self._answer(400, json.dumps(e.as_dict()).encode(), _JSON)
            except (ValueError, KeyError, TypeError) as e:
                self.close_connection = True
                self._answer(400, json.dumps({"what": f"this is no question: {e}"}).encode(), _JSON)
            else:
                self._answer(200, content, _JSON)

        def _answer(self, status: int, content: bytes, kind: str = "text/plain; charset=utf-8") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
