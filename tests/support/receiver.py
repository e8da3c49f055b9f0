"""Who is told, for tests: an HTTP server that takes, refuses or hangs, and an SMTP server with TLS and users."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.support.apis import certify


@dataclass(frozen=True, slots=True)
class Post:
    """One request as it came."""

    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def said(self) -> dict[str, Any]:
        """The body as JSON."""
        found: dict[str, Any] = json.loads(self.body)
        return found


class Receiver:
    """An HTTP server. ``answers`` are given one after the other, then 200: a status, or seconds to say nothing for."""

    def __init__(self, port: int = 0) -> None:
        self.posts: list[Post] = []
        """What was taken."""
        self.tries = 0
        self.answers: list[int | float] = []
        self.headers: dict[str, str] = {}
        """Of answers that are no 200."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.tries += 1
                answer = receiver.answers.pop(0) if receiver.answers else 200
                if isinstance(answer, float):
                    time.sleep(answer)
                    self.close_connection = True
                    return
                if answer == 200:
                    receiver.posts.append(Post({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(answer)
                for name, value in receiver.headers.items() if answer != 200 else ():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"no" if answer != 200 else b"ok")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Listening(ThreadingHTTPServer):
            daemon_threads = True

        self._server = Listening(("127.0.0.1", port), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens; the path is a secret."""
        return f"http://127.0.0.1:{self.port}/services/T0PSECRET"

    def events(self) -> list[tuple[str, str]]:
        """What was told of what, in the order in which it came."""
        return [(a["event"], a["subject"]) for post in self.posts for a in post.said["alerts"]]

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def receiver(port: int = 0) -> Iterator[Receiver]:
    """A receiver for the block."""
    found = Receiver(port)
    try:
        yield found
    finally:
        found.close()


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@dataclass(slots=True)
class Mails:
    """What an SMTP server took, and where it listens."""

    port: int = 0
    ca: Path = field(default_factory=Path)
    taken: list[EmailMessage] = field(default_factory=list)
    refuse: str = ""
    """A reply that it gives instead of taking anything."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Take a mail."""
        del server, session
        if self.refuse:
            return self.refuse
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.taken.append(mail)
        return "250 taken"


@contextlib.contextmanager
def mail_server(folder: Path, *, user: str = "penstock", password: str = "hunter2") -> Iterator[Mails]:
    """An SMTP server that wants STARTTLS with a certificate of its own, and a user."""
    context, ca = certify(folder)

    def login(server: Any, session: Any, envelope: Any, mechanism: Any, said: Any) -> AuthResult:
        del server, session, envelope, mechanism
        assert isinstance(said, LoginPassword)
        return AuthResult(success=(said.login, said.password) == (user.encode(), password.encode()), handled=False)

    mails = Mails(port=free_port(), ca=ca)
    controller = Controller(
        mails,
        hostname="127.0.0.1",
        port=mails.port,
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=login,
    )
    controller.start()
    try:
        yield mails
    finally:
        controller.stop()
