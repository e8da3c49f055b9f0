"""One HTTP API for one run: requests are authenticated, throttled, tried again, and answered whole or not at all."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlencode

import httpx2

from penstock.backoff import Backoff
from penstock.compression import ENCODINGS
from penstock.logs import described, get_log
from penstock.sources.http.addresses import origin
from penstock.sources.http.addressing import Addressing
from penstock.sources.http.auth import credentials_of, query_key
from penstock.sources.http.breaker import CircuitBreaker, CircuitOpen
from penstock.sources.http.limits import Gate, PausedTooLong, asked_to_wait, exhausted
from penstock.sources.http.request_errors import Failed, Refusals
from penstock.sources.http.responses import Answer, Page, Request, beginning, whole
from penstock.sources.http.secrets import MaskedLog, Secrets, is_secret
from penstock.sources.http.tally import count_request, count_retry
from penstock.sources.http.tls import tls_context

if TYPE_CHECKING:
    from penstock.project.http_client import HttpConnection

T = TypeVar("T")

_MOVED = frozenset({301, 302, 303, 307, 308})
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 30.0
"""However short a wait the API asks for: each further one of a request lasts at least twice as long, up to this."""
_AGENT = "penstock"
_LOGS = ("httpx2", "hpack.hpack", "hpack.table")
"""Loggers of the libraries that write addresses and headers."""

_log = get_log("http")


class Client:
    """Sends the requests of one run. Safe for many tasks of one event loop at once; a context manager.

    Credentials, ``headers`` and ``params`` of the settings go to the scheme, host and port of ``base_url`` only: a next
    link or a redirect to elsewhere is followed without them and without cookies; one from https to http is refused.
    """

    def __init__(
        self,
        settings: HttpConnection,
        *,
        name: str,
        concurrency: int = 8,
        standing: Callable[[Mapping[str, CircuitBreaker]], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._name = name
        self._origin = origin(settings.base_url)
        self._concurrency = concurrency
        self._standing = standing
        key = query_key(settings.auth)
        self._secrets = Secrets(parameters=[key[0]] if key else [])
        self._where = f"source {name}"
        self._credentials = credentials_of(settings.auth, self._post, self._secrets, where=self._where)
        self._refusals = Refusals(settings, self._secrets, self._credentials, where=self._where)
        self._headers = {k.lower(): v.get_secret_value() for k, v in settings.headers.items()}
        params = {k: v.get_secret_value() for k, v in settings.params.items()}
        self._addressing = Addressing(settings.base_url, params, key, self._refusals)
        for name_, value in [*self._headers.items(), *params.items()]:
            if is_secret(name_):
                self._secrets.add(value)
        self._gates: dict[str, Gate] = {self._origin: Gate(settings.rate_limit)}
        self._breakers: dict[str, CircuitBreaker] = {}
        self._deadline: float | None = None
        self._stack = AsyncExitStack()
        self._http: httpx2.AsyncClient

    async def __aenter__(self) -> Client:
        timeouts = self._settings.timeouts
        limits = httpx2.Limits(
            max_connections=self._concurrency, max_keepalive_connections=self._concurrency, keepalive_expiry=30.0
        )
        verify = tls_context(self._settings.tls, where=self._where)
        try:
            self._http = httpx2.AsyncClient(
                verify=verify,
                http2=self._settings.http2,
                timeout=httpx2.Timeout(timeouts.read_seconds, connect=timeouts.connect_seconds, pool=None),
                limits=limits,
                headers={"accept-encoding": ENCODINGS, "user-agent": _AGENT, "accept": "*/*"},
                follow_redirects=False,
            )
        except (ImportError, ValueError, httpx2.InvalidURL) as e:  # all else was checked with the settings
            raise self._refusals.proxy(e) from e
        await self._stack.enter_async_context(self._http)
        masked = MaskedLog(self._secrets)
        for logger in (logging.getLogger(name) for name in _LOGS):
            logger.addFilter(masked)
            self._stack.callback(logger.removeFilter, masked)
        if timeouts.run_seconds is not None:
            self._deadline = asyncio.get_running_loop().time() + timeouts.run_seconds
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self._standing(self._breakers)

    def __repr__(self) -> str:
        return f"Client({self._name}, {self._settings.base_url})"

    def breakers(self) -> Mapping[str, CircuitBreaker]:
        """The circuit breaker of each host that was asked."""
        return self._breakers

    async def read(self, request: Request) -> Page:
        """One request and its whole body in memory; for the errors see :meth:`consume`."""
        return await self.consume(request, whole)

    async def consume(self, request: Request, use: Callable[[Answer], Awaitable[T]]) -> T:
        """Send a request and let ``use`` take in the answer; from the start again, with another answer, whenever the
        request fails or the body breaks off.

        Raises:
            SourceError: the API refuses the request, or the attempts or the time of the run are used up.
        """

        async def once() -> T:
            async with self._attempt(request) as answer:
                return await use(answer)

        return await self._retried(request, once)

    @asynccontextmanager
    async def fetch(self, request: Request) -> AsyncIterator[Answer]:
        """Send a request until the head of an answer comes. A body that breaks off is a ``SourceError``: it is not
        fetched again here, since half of it may be in use; :meth:`consume` does that."""
        async with AsyncExitStack() as stack:
            answer = await self._retried(request, lambda: stack.enter_async_context(self._attempt(request)))
            try:
                yield answer
            except Failed as e:
                raise e.error from e

    async def _retried(self, request: Request, once: Callable[[], Awaitable[T]]) -> T:
        retries = self._settings.retries
        first = retries.first_wait_seconds
        backoff = Backoff(first, retries.longest_wait_seconds, added_seconds=first)
        number = 1
        try:
            async with asyncio.timeout_at(self._deadline) as limit:
                while True:
                    try:
                        return await once()
                    except Failed as e:
                        if number == retries.attempts:
                            raise
                        seconds = backoff.next_seconds() if e.seconds is None else e.seconds
                        detail = described(e.error)
                    number += 1
                    _log.info("asking again", attempt=number, **detail, again_in_seconds=round(seconds, 2))
                    await asyncio.sleep(seconds)
                    count_retry(self._name)
        except Failed as e:
            raise self._refusals.last(e.error, number) from e
        except TimeoutError as e:
            if limit.expired():
                raise self._refusals.out_of_time(request.method, self._addressing.of(request)) from e
            raise
        raise AssertionError("a time-out raises")

    @asynccontextmanager
    async def _attempt(self, request: Request) -> AsyncIterator[Answer]:
        """One answer to a request, with its redirects and pauses and at most one new token."""
        url = self._addressing.of(request)
        body = None if request.json is None else json.dumps(request.json).encode()
        method = request.method
        put_off, throttles, redirects, renewed = 0.0, 0, 0, False
        longest = self._settings.retries.throttled_seconds
        while True:
            host = origin(url)
            own = host == self._origin
            headers: dict[str, str] = {}
            proof: Mapping[str, str] = {}
            if own:
                proof = await self._credentials.headers()
                headers = {**self._headers, **request.headers, **proof}
            if body is not None:
                headers["content-type"] = "application/json"
            gate = self._gates.get(host) or self._gates.setdefault(host, Gate(None))
            try:
                put_off += await gate.enter(longest - put_off)
            except PausedTooLong as e:
                raise self._refusals.throttled(method, url, put_off + e.seconds) from None
            async with self._sent(method, url, headers, body) as answer:
                status = answer.status
                if (left := exhausted(answer.headers)) is not None:
                    gate.pause(left)
                if 200 <= status < 300 or status in request.accept:
                    yield answer
                    return
                shown = await beginning(answer)
                if status in _MOVED and "location" in answer.headers:
                    redirects += 1
                    url = self._addressing.redirected(method, url, answer.headers["location"], redirects)
                    if status == 303 or (status in (301, 302) and method == "POST"):
                        method, body = "GET", None
                    continue
                if status == 401 and own and not renewed and self._credentials.renew(proof):
                    renewed = True
                    continue
                pause_seconds = asked_to_wait(status, answer.headers)
                if pause_seconds is None:
                    raise self._refusals.refused(method, url, status, shown)
                gate.pause(max(pause_seconds, min(_FIRST_PAUSE_SECONDS * 2**throttles, _LONGEST_PAUSE_SECONDS)))
                throttles += 1

    @asynccontextmanager
    async def _sent(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> AsyncIterator[Answer]:
        """The answer to one request as it is, by leave of the host's breaker, which hears of the outcome."""
        host = origin(url)
        breaker = self._breakers.get(host) or self._new_breaker(host)
        try:
            probe = await breaker.enter()
        except CircuitOpen as e:
            error = self._refusals.left_alone(method, url, breaker.failures, e.seconds)
            raise Failed(error, e.seconds) from None

        def broken(cause: Exception) -> Exception:
            if isinstance(cause, TimeoutError):
                return self._refusals.out_of_time(method, url)
            breaker.failed(probe)
            return self._refusals.broken(method, url, cause)

        response: httpx2.Response | None = None
        try:
            own = host == self._origin
            try:
                request = self._http.build_request(
                    method, self._addressing.with_key(url) if own else url, headers=headers, content=body
                )
                if not own:
                    request.headers.pop("cookie", None)
                response = await self._http.send(request, stream=True)
            except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as e:
                count_request(self._name, "broken")
                raise broken(e) from e
            count_request(self._name, "answered" if response.status_code < 400 else "refused")
            if response.status_code >= 500 and asked_to_wait(response.status_code, response.headers) is None:
                breaker.failed(probe)
            else:
                breaker.answered(probe)
            yield Answer(response, url, broken, self._deadline)
            if response.status_code < 500:
                breaker.succeeded()
        finally:
            breaker.left(probe)
            if response is not None:
                await response.aclose()

    async def _post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Send a form, with retries, and without the credentials of other requests."""
        content = urlencode(form).encode()
        headers = {**headers, "content-type": "application/x-www-form-urlencoded"}

        async def once() -> tuple[int, bytes]:
            async with self._sent("POST", url, headers, content) as answer:
                page = await whole(answer)
                if page.status == 429 or page.status >= 500:
                    raise self._refusals.refused("POST", url, page.status, page.body)
                return page.status, page.body

        return await self._retried(Request(url=url, method="POST"), once)

    def _new_breaker(self, host: str) -> CircuitBreaker:
        settings = self._settings.breaker
        self._breakers[host] = CircuitBreaker(
            failures=settings.failures,
            open_seconds=settings.open_seconds,
            changed=lambda: self._changed(host),
        )
        return self._breakers[host]

    def _changed(self, host: str) -> None:
        breaker = self._breakers[host]
        _log.info("a breaker changed", host=host, breaker=breaker.state, failures=breaker.failures)
        self._standing(self._breakers)
