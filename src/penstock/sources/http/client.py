"""One HTTP API for one run: requests are authenticated, throttled, tried again, and answered whole or not at all."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import httpx2
import stamina

from penstock.errors import SourceError
from penstock.sources.http.auth import credentials_of, query_key
from penstock.sources.http.breaker import CircuitBreaker, CircuitOpen
from penstock.sources.http.decoding import ENCODINGS, BrokenEncoding, Decoder, decoder_of
from penstock.sources.http.limits import Gate, PausedTooLong, exhausted, retry_after
from penstock.sources.http.secrets import MaskedLog, Secrets, is_secret, without

if TYPE_CHECKING:
    from penstock.project.http_client import HttpConnection
    from penstock.project.rabbitmq import Tls

T = TypeVar("T")
Params = Mapping[str, Any] | Sequence[tuple[str, Any]]

_MOVED = frozenset({301, 302, 303, 307, 308})
_REDIRECTS = 10
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 30.0
"""However short a wait the API asks for: each further one of a request lasts at least twice as long, up to this."""
_DRAINED_BYTES = 65_536
_SHOWN_BYTES = 2048
_SHOWN_LETTERS = 300
_AGENT = "penstock"

# without a handler of its own, Python would print what stamina logs at each retry to stderr
logging.getLogger("stamina").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. ``url`` is a path below the base URL, or a whole address (a next link).

    ``params`` are added to the query that ``url`` has; those that are None are left out. ``json`` is sent as the body.
    ``accept`` are the statuses beside 2xx that are answers and not errors.
    """

    url: str
    method: str = "GET"
    params: Params = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    accept: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A whole answer. ``url`` is where it came from in the end, without credentials; header names are small."""

    status: int
    headers: Mapping[str, str]
    url: str
    body: bytes


class Answer:
    """An answer whose body is still to come."""

    def __init__(self, response: httpx2.Response, url: str, broken: Callable[[Exception], Exception]) -> None:
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        """Looked up without regard to case."""
        self.url = url
        """Where it came from in the end, without credentials."""
        self._response = response
        self._broken = broken

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The decoded body, in pieces of about 1 MiB at most. The last one has come only when the iteration ends: a
        body that is cut short or garbled raises. Once only."""
        try:
            encoding = self.headers.get("content-encoding")
            decoder: Decoder | None = decoder_of(encoding) if encoding else None
            async with aclosing(self._response.aiter_raw()) as raw:
                if decoder is None:
                    async for data in raw:
                        yield data
                else:
                    async for data in raw:
                        for piece in decoder.decode(data):
                            yield piece
                    decoder.finish()
        except (httpx2.HTTPError, BrokenEncoding) as e:
            raise self._broken(e) from e


class _Failed(Exception):
    """May go well the next time, after ``seconds`` where the server or the breaker says so."""

    def __init__(self, error: SourceError, seconds: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.seconds = seconds


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
        breaker_changed: Callable[[Mapping[str, CircuitBreaker]], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._name = name
        self._origin = _origin(settings.base_url)
        self._concurrency = concurrency
        self._changed = breaker_changed
        self._key = query_key(settings.auth)
        self._secrets = Secrets(parameters=[self._key[0]] if self._key else [])
        if self._key:
            self._secrets.add(self._key[1])
        self._credentials = credentials_of(settings.auth, self._post, self._secrets, where=f"source {name}")
        self._headers = {k.lower(): v.get_secret_value() for k, v in settings.headers.items()}
        self._params = {k: v.get_secret_value() for k, v in settings.params.items()}
        for key, value in [*self._headers.items(), *self._params.items()]:
            if is_secret(key):
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
        self._http = httpx2.AsyncClient(
            verify=_tls_context(self._settings.tls, where=f"source {self._name}"),
            http2=self._settings.http2,
            timeout=httpx2.Timeout(timeouts.read_seconds, connect=timeouts.connect_seconds, pool=None),
            limits=limits,
            headers={"accept-encoding": ENCODINGS, "user-agent": _AGENT, "accept": "*/*"},
            follow_redirects=False,
        )
        await self._stack.enter_async_context(self._http)
        masked, logger = MaskedLog(self._secrets), logging.getLogger("httpx2")
        logger.addFilter(masked)
        self._stack.callback(logger.removeFilter, masked)
        if timeouts.run_seconds is not None:
            self._deadline = asyncio.get_running_loop().time() + timeouts.run_seconds
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def __repr__(self) -> str:
        return f"Client({self._name}, {self._settings.base_url})"

    def breakers(self) -> Mapping[str, CircuitBreaker]:
        """The circuit breaker of each host that was asked."""
        return self._breakers

    async def read(self, request: Request) -> Page:
        """One request and its whole body in memory; for the errors see :meth:`consume`."""
        return await self.consume(request, _page)

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
                async with asyncio.timeout_at(self._deadline) as limit:
                    yield answer
            except _Failed as e:
                raise e.error from e
            except TimeoutError as e:
                if limit.expired():
                    raise self._out_of_time(request) from e
                raise

    async def _retried(self, request: Request, once: Callable[[], Awaitable[T]]) -> T:
        retries = self._settings.retries
        number = 0
        try:
            async with asyncio.timeout_at(self._deadline) as limit:
                async for attempt in stamina.retry_context(
                    on=_wait_for,
                    attempts=retries.attempts,
                    timeout=None,
                    wait_initial=retries.first_wait_seconds,
                    wait_max=retries.longest_wait_seconds,
                    wait_jitter=retries.first_wait_seconds,
                ):
                    with attempt:
                        number += 1
                        return await once()
        except _Failed as e:
            if number > 1:
                e.error.args = (f"{e.error} (the last of {number} attempts)",)
            raise e.error from e
        except TimeoutError as e:
            if limit.expired():
                raise self._out_of_time(request) from e
            raise
        raise AssertionError("stamina gives an attempt, or raises")

    @asynccontextmanager
    async def _attempt(self, request: Request) -> AsyncIterator[Answer]:
        """One answer to a request, with its redirects and pauses and at most one new token."""
        url = self._address(request)
        body = None if request.json is None else json.dumps(request.json).encode()
        method = request.method
        put_off, throttles, redirects, renewed = 0.0, 0, 0, False
        longest = self._settings.retries.throttled_seconds
        while True:
            origin = _origin(url)
            own = origin == self._origin
            headers: dict[str, str] = {}
            proof: Mapping[str, str] = {}
            if own:
                proof = await self._credentials.headers()
                headers = {**self._headers, **request.headers, **proof}
            if body is not None:
                headers["content-type"] = "application/json"
            gate = self._gates.get(origin) or self._gates.setdefault(origin, Gate(None))
            try:
                put_off += await gate.enter(longest - put_off)
            except PausedTooLong as e:
                raise self._throttled(method, url, put_off + e.seconds) from None
            async with self._sent(method, url, headers, body) as answer:
                status = answer.status
                if (left := exhausted(answer.headers)) is not None:
                    gate.pause(left)
                if 200 <= status < 300 or status in request.accept:
                    yield answer
                    return
                shown = await _beginning(answer)
                if status in _MOVED and "location" in answer.headers:
                    redirects += 1
                    url = self._redirected(method, url, answer.headers["location"], redirects)
                    if status == 303 or (status in (301, 302) and method == "POST"):
                        method, body = "GET", None
                    continue
                if status == 401 and own and not renewed and self._credentials.renew(proof):
                    renewed = True
                    continue
                asked = retry_after(answer.headers) if status in (429, 503) else None
                if asked is None:
                    raise self._refused(method, url, status, shown)
                gate.pause(max(asked, min(_FIRST_PAUSE_SECONDS * 2**throttles, _LONGEST_PAUSE_SECONDS)))
                throttles += 1

    @asynccontextmanager
    async def _sent(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> AsyncIterator[Answer]:
        """The answer to one request as it is, by leave of the host's breaker, which hears of the outcome."""
        origin = _origin(url)
        breaker = self._breakers.get(origin) or self._new_breaker(origin)
        try:
            probe = await breaker.enter()
        except CircuitOpen as e:
            error = self._error(
                f"{method} {self._shown(url)} was not sent: {origin} failed {breaker.failures} times in a row, and is "
                f"left alone for another {e.seconds:.0f} s",
                fix="run it again when the API answers; breaker.failures and breaker.open_seconds set when it is left",
            )
            raise _Failed(error, e.seconds) from None

        def broken(cause: Exception) -> Exception:
            breaker.failed(probe)
            return self._broken(method, url, cause)

        response: httpx2.Response | None = None
        try:
            own = origin == self._origin
            try:
                request = self._http.build_request(
                    method, self._with_key(url) if own else url, headers=headers, content=body
                )
                if not own:
                    request.headers.pop("cookie", None)
                response = await self._http.send(request, stream=True)
            except (httpx2.HTTPError, httpx2.InvalidURL) as e:
                raise broken(e) from e
            if response.status_code >= 500 and retry_after(response.headers) is None:
                breaker.failed(probe)
            else:
                breaker.answered(probe)
            yield Answer(response, url, broken)
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
                page = await _page(answer)
                if page.status == 429 or page.status >= 500:
                    raise self._refused("POST", url, page.status, page.body)
                return page.status, page.body

        return await self._retried(Request(url=url, method="POST"), once)

    def _address(self, request: Request) -> str:
        """The whole address of a request, without the key that may have to be in its query."""
        url = request.url
        if "://" in url:
            if urlsplit(url).scheme == "http" and self._origin.startswith("https:"):
                raise self._downgrade(request.method, url)
            url = _without_user(url)
        else:
            url = f"{self._settings.base_url}/{url.lstrip('/')}" if url else self._settings.base_url
        pairs = list(request.params.items() if isinstance(request.params, Mapping) else request.params)
        if self._params and _origin(url) == self._origin:
            said = {name for name, _ in [*parse_qsl(urlsplit(url).query, keep_blank_values=True), *pairs]}
            pairs = [*((k, v) for k, v in self._params.items() if k not in said), *pairs]
        return _with_query(url, pairs)

    def _with_key(self, url: str) -> str:
        return url if self._key is None else _with_query(without(url, self._key[0]), [self._key])

    def _redirected(self, method: str, url: str, location: str, number: int) -> str:
        """Where to go on.

        Raises:
            SourceError: nowhere.
        """
        to = _without_user(urljoin(url, location)).partition("#")[0]
        if urlsplit(to).scheme not in ("http", "https") or not urlsplit(to).hostname:
            raise self._error(
                f"{method} {self._shown(url)} is redirected to {self._shown(to)}, which is no HTTP address",
                fix="check base_url and the path",
            )
        if number > _REDIRECTS:
            raise self._error(
                f"{method} {self._shown(url)} is redirected again and again, at last to {self._shown(to)}",
                fix="check base_url and the path; an API may redirect so when it wants you to log in",
            )
        if urlsplit(url).scheme == "https" and urlsplit(to).scheme == "http":
            raise self._downgrade(method, to)
        return to if self._key is None else without(to, self._key[0])

    def _new_breaker(self, origin: str) -> CircuitBreaker:
        settings = self._settings.breaker
        self._breakers[origin] = CircuitBreaker(
            failures=settings.failures,
            open_seconds=settings.open_seconds,
            changed=lambda: self._changed(self._breakers),
        )
        return self._breakers[origin]

    def _shown(self, url: str) -> str:
        return self._secrets.mask_url(url)

    def _error(self, what: str, *, fix: str) -> SourceError:
        return SourceError(self._secrets.mask(what), where=f"source {self._name}", fix=self._secrets.mask(fix))

    def _downgrade(self, method: str, url: str) -> SourceError:
        return self._error(
            f"{method} {self._shown(url)} leads from https to http, where others can read along; it was not sent",
            fix="ask the API's owner to mend its links (often a proxy that does not pass on X-Forwarded-Proto), or use "
            "a pagination that does not follow them",
        )

    def _out_of_time(self, request: Request) -> SourceError:
        return self._error(
            f"the run's time of {self._settings.timeouts.run_seconds:g} s was over at {request.method} "
            f"{self._shown(self._address(request))}",
            fix="run it again to go on from what has landed, or raise timeouts.run_seconds",
        )

    def _throttled(self, method: str, url: str, seconds: float) -> SourceError:
        return self._error(
            f"{method} {self._shown(url)} would have to wait {seconds:.0f} s, as the API asks; at most "
            f"{self._settings.retries.throttled_seconds:g} s are allowed",
            fix="run it again later to go on from what has landed, set rate_limit to what the API grants, or raise "
            "retries.throttled_seconds",
        )

    def _refused(self, method: str, url: str, status: int, body: bytes) -> Exception:
        """The error for a status that is no answer."""
        words = self._secrets.mask(" ".join(body[:_SHOWN_BYTES].decode("utf-8", "replace").split()))[:_SHOWN_LETTERS]
        what = f"{method} {self._shown(url)}: status {status}: {words or 'no body'}"
        own = _origin(url) == self._origin
        if status == 429 or status >= 500:
            fix = "run it again later to go on from what has landed"
            if status == 429:
                fix = "set rate_limit to what the API grants, lower concurrency, or run it again later"
            return _Failed(self._error(what, fix=fix))
        if status in (401, 407):
            fix = (
                self._credentials.fix
                if own
                else "the credentials are for base_url only, and were not sent to this host"
            )
            if status == 407:
                fix = "the proxy asks for credentials: put them into HTTPS_PROXY, http://user:password@host:port"
        elif status == 403:
            fix = (
                f"these credentials may not read this: {self._credentials.fix}"
                if own
                else "this host lets nobody read it"
            )
        elif status in (404, 410):
            fix = "check base_url and the path"
        else:
            fix = "check the path, the parameters and the headers against the API's documentation"
        return self._error(what, fix=fix)

    def _broken(self, method: str, url: str, cause: Exception) -> Exception:
        """The error for an answer that did not come, or not whole."""
        what = f"{method} {self._shown(url)}: {_in_words(cause)}"
        if _refused_certificate(cause):
            return self._error(
                what, fix="name the API's certificate authority in tls.ca or SSL_CERT_FILE, or mend base_url's host"
            )
        if isinstance(cause, httpx2.InvalidURL | httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
            return self._error(what, fix="check base_url, the path and the headers")
        fix = "check that the API is up and base_url is right, then run it again to go on from what has landed"
        return _Failed(self._error(what, fix=fix))


async def _page(answer: Answer) -> Page:
    pieces = [piece async for piece in answer.chunks()]
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return Page(status=answer.status, headers=answer.headers, url=answer.url, body=body)


async def _beginning(answer: Answer) -> bytes:
    """The first bytes of a body that says why; a short one is read to its end, which keeps the connection."""
    shown = b""
    try:
        async with aclosing(answer.chunks()) as chunks:
            async for chunk in chunks:
                shown += chunk
                if len(shown) > _DRAINED_BYTES:
                    break
    except _Failed:
        pass
    return shown


def _wait_for(error: Exception) -> bool | float:
    """Whether to try again, and when, where that is known."""
    if not isinstance(error, _Failed):
        return False
    return True if error.seconds is None else error.seconds


def _origin(url: str) -> str:
    """Scheme, host and port of an address (RFC 6454)."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    return f"{parts.scheme}://{parts.hostname}:{port or (443 if parts.scheme == 'https' else 80)}"


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else url


def _with_query(url: str, pairs: Sequence[tuple[str, Any]]) -> str:
    """An address with more parameters; lists are repeated, what is None is left out."""
    said = [(k, _text(v)) for k, many in pairs for v in (many if isinstance(many, list | tuple) else [many])]
    query = urlencode([(k, v) for k, v in said if v is not None])
    if not query:
        return url
    head, mark, fragment = url.partition("#")
    del mark, fragment
    return f"{head}{'&' if '?' in head else '?'}{query}"


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def _in_words(cause: Exception) -> str:
    match cause:
        case httpx2.ConnectTimeout():
            return "no connection within timeouts.connect_seconds"
        case httpx2.TimeoutException():
            return "nothing came for timeouts.read_seconds"
        case BrokenEncoding():
            return f"the body is broken: {cause}"
        case _:
            return str(cause) or type(cause).__name__


def _refused_certificate(error: BaseException | None) -> bool:
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def _tls_context(tls: Tls, *, where: str) -> ssl.SSLContext | bool:
    """What the settings say of certificates; True for what the environment says."""
    if not tls.verify and tls.certificate is None:
        return False
    if tls.ca is None and tls.certificate is None:
        return True
    try:
        context = httpx2.create_ssl_context() if tls.ca is None else ssl.create_default_context(cafile=str(tls.ca))
        if not tls.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
    except OSError as e:  # also what ssl raises
        files = ", ".join(str(f) for f in (tls.ca, tls.certificate, tls.key) if f is not None)
        raise SourceError(
            f"cannot use the certificates of {files}: {e.strerror or e}",
            where=where,
            fix="check tls.ca, tls.certificate and tls.key: they are PEM files",
        ) from e
    return context
