"""The conditions under which a sample answers: who may ask, how often, how fast, and what goes wrong."""

from __future__ import annotations

import asyncio
import base64
import hmac
import itertools
import json
import math
import re
import socket
import struct
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs

from penstock.errors import UsageError
from penstock.samples.fault_rules import Faults

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN_PATH = "/oauth/token"  # noqa: S105 - an address
FREE = frozenset({"/", "/health", TOKEN_PATH})
"""Paths that need no account, count against no limit and meet no fault."""

_RESET = struct.pack("ii", 1, 0)
"""``SO_LINGER`` of zero seconds: closing sends RST instead of FIN."""
_HTML = b"<!doctype html><html><head><title>Maintenance</title></head><body><h1>Back soon</h1></body></html>\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """Who may ask. The parts that a kind needs: ``bearer`` secret; ``basic`` and ``oauth2`` name (user or client) and
    secret; ``header`` and ``query`` the header's or parameter's name and secret."""

    kind: Literal["bearer", "basic", "header", "query", "oauth2"]
    secret: str = field(repr=False)
    name: str = ""
    expires_seconds: float = 3600.0
    """How long a token of ``oauth2`` is good for."""

    @classmethod
    def parse(cls, text: str) -> Auth:
        """``bearer:secret``, ``basic:user:password``, ``header:X-Api-Key:secret``, ``query:api_key:secret``,
        ``oauth2:client:secret`` or ``oauth2:client:secret:60`` (seconds until a token expires).

        Raises:
            UsageError: another text.
        """
        kind, _, rest = text.partition(":")
        parts = rest.split(":")
        if kind == "bearer" and rest:
            return cls(kind="bearer", secret=rest)
        if len(parts) == 2 and all(parts) and kind in ("basic", "header", "query", "oauth2"):
            return cls(kind=kind, name=parts[0], secret=parts[1])  # type: ignore[arg-type]
        if len(parts) == 3 and kind == "oauth2" and re.fullmatch(r"\d+(\.\d+)?", parts[2]):
            return cls(kind="oauth2", name=parts[0], secret=parts[1], expires_seconds=float(parts[2]))
        raise UsageError(
            "no way to authenticate is written so",
            where="--auth",
            fix="bearer:SECRET, basic:USER:PASSWORD, header:NAME:SECRET, query:NAME:SECRET or oauth2:CLIENT:SECRET,"
            " with :60 behind it for tokens that expire after 60 seconds",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """At most so many requests in each window of so many seconds."""

    requests: int
    window_seconds: float

    @classmethod
    def parse(cls, text: str) -> RateLimit:
        """``100/s``, ``100/m`` or ``100/h``.

        Raises:
            UsageError: another text.
        """
        match = re.fullmatch(r"([1-9]\d*)/(\d+)?([smh])", text.strip())
        if match is None:
            raise UsageError(f"{text!r} is no rate", where="--rate-limit", fix="write it so: 100/s, 100/m or 100/10s")
        unit = {"s": 1.0, "m": 60.0, "h": 3600.0}[match[3]]
        return cls(requests=int(match[1]), window_seconds=unit * int(match[2] or 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """All of them. The default is a server that answers everyone at once and well."""

    faults: Faults = field(default_factory=Faults)
    auth: Auth | None = None
    rate_limit: RateLimit | None = None
    delay_seconds: float = 0.0
    """How long each answer for data waits."""
    stall_seconds: float = 3600.0
    """How long a ``stall`` lasts; then the connection ends."""
    gzip: bool = False
    """Whether bodies are compressed for those who accept it."""

    def around(self, app: App) -> App:
        """The application under these conditions."""
        if self.gzip:
            from starlette.middleware.gzip import GZipMiddleware

            app = GZipMiddleware(app, minimum_size=500, compresslevel=1)
        return _Conditioned(app, self)


def shown_page(scope: Scope, page: int, pages: int) -> tuple[int, bool]:
    """For a sample's application: which of its pages, from 1, to show as the n-th, and whether it comes for ever."""
    faults: Faults | None = scope.get("penstock.faults")
    return (page, False) if faults is None else faults.source(page, pages)


def shown_pages(scope: Scope, pages: int) -> int:
    """For a sample's application: how many pages it shows when it has so many."""
    faults: Faults | None = scope.get("penstock.faults")
    return pages if faults is None else faults.shown(pages)


class _Conditioned:
    """An application with its conditions around it."""

    def __init__(self, app: App, conditions: Conditions, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._conditions = conditions
        self._clock = clock
        self._requests = itertools.count(1)
        self._issued = itertools.count(1)
        self._tokens: dict[str, float] = {}
        self._refuse_once = False
        self._window = (0.0, 0)
        """When the window of the rate limit began, and how many requests it has seen."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        conditions = self._conditions
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["penstock.faults"] = conditions.faults
        auth = conditions.auth
        if auth is not None and auth.kind == "oauth2" and scope["path"] == TOKEN_PATH:
            await self._token(auth, scope, receive, send)
            return
        if scope["path"] in FREE:
            await self._app(scope, receive, send)
            return
        request = next(self._requests)
        fault = conditions.faults.answer(request)
        if fault == "expire":
            self._tokens.clear()
            self._refuse_once = auth is not None and auth.kind != "oauth2"
        if auth is not None and not self._allowed(auth, scope):
            challenge = {"basic": "Basic", "bearer": "Bearer", "oauth2": 'Bearer error="invalid_token"'}.get(auth.kind)
            headers = {"www-authenticate": challenge} if challenge else {}
            await _answer(send, 401, {"error": "unauthorized"}, headers)
            return
        limit = conditions.rate_limit
        headers = {}
        if limit is not None:
            headers, wait = self._count(limit)
            if wait > 0:
                await _answer(send, 429, {"error": "too many requests"}, headers)
                return
        if conditions.delay_seconds:
            await asyncio.sleep(conditions.delay_seconds)
        if fault is not None and fault.isdigit():
            more = {"retry-after": "1"} if fault in ("429", "503") else {}
            await _answer(send, int(fault), {"error": "injected"}, {**headers, **more})
        elif fault == "html":
            await _send(send, 200, _HTML, {**headers, "content-type": "text/html; charset=utf-8"})
        elif fault == "reset":
            _abort(receive)
            await _gone(receive, 1.0)
        elif fault in ("stall", "cut", "truncate"):
            await self._damaged(fault, scope, receive, send)
        elif headers:
            await self._app(scope, receive, _with_headers(send, headers))
        else:
            await self._app(scope, receive, send)

    def _allowed(self, auth: Auth, scope: Scope) -> bool:
        if self._refuse_once:
            self._refuse_once = False
            return False
        given = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if auth.kind == "query":
            parameter = parse_qs(scope["query_string"].decode("latin-1")).get(auth.name, [""])[0]
            return _same(parameter, auth.secret)
        if auth.kind == "header":
            return _same(given.get(auth.name.lower(), ""), auth.secret)
        scheme, _, credentials = given.get("authorization", "").partition(" ")
        if auth.kind == "basic":
            return scheme.lower() == "basic" and _same(credentials, _basic(auth))
        if scheme.lower() != "bearer":
            return False
        if auth.kind == "bearer":
            return _same(credentials, auth.secret)
        return self._clock() < self._tokens.get(credentials, -math.inf)

    async def _token(self, auth: Auth, scope: Scope, receive: Receive, send: Send) -> None:
        """The token endpoint: the client credentials grant (RFC 6749, 4.4), credentials in the body or as basic."""
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        form = {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
        header = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        known = _same(header.removeprefix("Basic "), _basic(auth)) or (
            _same(form.get("client_id", ""), auth.name) and _same(form.get("client_secret", ""), auth.secret)
        )
        if scope["method"] != "POST" or form.get("grant_type") != "client_credentials":
            await _answer(send, 400, {"error": "unsupported_grant_type"})
        elif not known:
            await _answer(send, 401, {"error": "invalid_client"}, {"www-authenticate": "Basic"})
        else:
            now = self._clock()
            self._tokens = {token: end for token, end in self._tokens.items() if end > now}
            token = f"sample-token-{next(self._issued)}"
            self._tokens[token] = now + auth.expires_seconds
            grant = {"access_token": token, "token_type": "Bearer", "expires_in": math.floor(auth.expires_seconds)}
            await _answer(send, 200, grant, {"cache-control": "no-store"})

    def _count(self, limit: RateLimit) -> tuple[dict[str, str], float]:
        """The headers that say how much is left, and how long to wait when nothing is."""
        now = self._clock()
        began, seen = self._window
        if now - began >= limit.window_seconds:
            began, seen = now, 0
        left = limit.requests - seen
        reset = began + limit.window_seconds - now
        self._window = (began, seen + (left > 0))
        headers = {
            "x-ratelimit-limit": str(limit.requests),
            "x-ratelimit-remaining": str(max(left - 1, 0)),
            "x-ratelimit-reset": str(math.ceil(reset)),
        }
        if left > 0:
            return headers, 0.0
        return {**headers, "retry-after": str(math.ceil(reset))}, reset

    async def _damaged(self, fault: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Half of the answer; then an end, an end of the connection, or nothing."""
        started: Message = {}
        body = bytearray()

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            else:
                body.extend(message.get("body", b""))

        await self._app(scope, receive, keep)
        half = bytes(body[: len(body) // 2])
        if fault == "truncate":
            others = [(n, v) for n, v in started["headers"] if n != b"content-length"]
            await send({**started, "headers": [*others, (b"content-length", str(len(half)).encode())]})
            await send({"type": "http.response.body", "body": half})
            return
        await send(started)
        await send({"type": "http.response.body", "body": half, "more_body": True})
        if fault == "stall":
            await _gone(receive, self._conditions.stall_seconds)
        transport = _transport(receive)
        if transport is not None:
            transport.close()


async def _gone(receive: Receive, seconds: float) -> None:
    """Wait until the client has gone, or so long."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        pass


def _abort(receive: Receive) -> None:
    transport = _transport(receive)
    if transport is not None:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()


def _transport(receive: Receive) -> asyncio.Transport | None:
    """The connection itself, which ASGI hides: uvicorn's ``receive`` is a method of what holds it."""
    return getattr(getattr(receive, "__self__", None), "transport", None)


def _with_headers(send: Send, headers: dict[str, str]) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            more = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sending


async def _answer(send: Send, status: int, body: object, headers: dict[str, str] | None = None) -> None:
    text = json.dumps(body).encode()
    await _send(send, status, text, {"content-type": "application/json", **(headers or {})})


async def _send(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    every = {**headers, "content-length": str(len(body))}
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in every.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def _basic(auth: Auth) -> str:
    return base64.b64encode(f"{auth.name}:{auth.secret}".encode()).decode()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
