"""The settings of a connection to an HTTP API. Names, types and docstrings here are the reference that users read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from penstock.project.group import Settings, none
from penstock.project.tls_settings import Tls
from penstock.project.values import Frozen, HeaderValue

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Bearer(Settings):
    """A token that does not change, sent as `Authorization: Bearer <token>`."""

    type: Literal["bearer"]
    """Which kind of authentication this is."""
    token: HeaderValue
    """The token; never shown."""


class Basic(Settings):
    """User and password, sent as `Authorization: Basic …`."""

    type: Literal["basic"]
    """Which kind of authentication this is."""
    user: str
    """User."""
    password: SecretStr
    """Password; never shown."""


class ApiKey(Settings):
    """A key, sent in a header or in the query."""

    type: Literal["api_key"]
    """Which kind of authentication this is."""
    key: HeaderValue
    """The key; never shown."""
    name: str = Field(default="X-API-Key", pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z\[\]-]+$")
    """The name of the header or of the query parameter."""
    location: Literal["header", "query"] = "header"
    """Where the key is sent. What is in a query ends up in logs of servers: take the header where you may choose."""


class OAuth2(Settings):
    """OAuth 2.0, client credentials: a token is fetched, used by all requests, and renewed before it expires."""

    type: Literal["oauth2"]
    """Which kind of authentication this is."""
    token_url: str
    """Where tokens are fetched."""
    client_id: str
    """The client."""
    client_secret: SecretStr
    """The client's secret; never shown."""
    scope: str | None = Field(default=None, min_length=1)
    """What the token is to allow: names with blanks between them."""
    parameters: Annotated[Mapping[str, SecretStr], Frozen] = Field(default_factory=none)
    """More parameters of the token request, such as `audience`."""
    credentials_in: Literal["header", "body"] = "header"
    """How the client proves itself: HTTP basic authentication, or `client_id` and `client_secret` in the body."""

    @model_validator(mode="after")
    def _is_url(self) -> OAuth2:
        _address(self.token_url, "token_url")
        return self


class Timeouts(Settings):
    """How long to wait before a request, or the run, is given up."""

    connect_seconds: Seconds = 10.0
    """For a connection."""
    read_seconds: Seconds = 60.0
    """For the next bytes of an answer, however many came before."""
    run_seconds: Annotated[float, Field(gt=0, le=31_536_000)] | None = None
    """For all that one run fetches. What landed before stays, and the next run goes on from there."""


class Retries(Settings):
    """How failed requests are tried again: no connection, a time-out, `429`, `5xx`, an answer cut short."""

    attempts: Annotated[int, Field(ge=1, le=100)] = 6
    """How often a request is tried, the first time included."""
    first_wait_seconds: Annotated[float, Field(ge=0, le=3_600)] = 0.5
    """The wait before the second attempt; it doubles with each one, and a random part is added."""
    longest_wait_seconds: Annotated[float, Field(ge=0, le=86_400)] = 30.0
    """The longest wait between two attempts."""
    throttled_seconds: Annotated[float, Field(ge=0, le=604_800)] = 600.0
    """How long a request may be put off in all because the API asks for it (`Retry-After`, `X-RateLimit-Reset`). These
    waits are no attempts. An API that asks for more ends the run with an error."""


class RateLimit(Settings):
    """How many requests are sent at most, by all tasks together."""

    requests: Annotated[float, Field(gt=0, le=1_000_000)]
    """So many requests"""
    per: Literal["second", "minute", "hour"] = "second"
    """in each of these, evenly spread."""
    burst: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """How many may be sent at once after a pause."""


class Breaker(Settings):
    """When a host that fails again and again is left alone for a while."""

    failures: Annotated[int, Field(ge=1, le=10_000)] = 10
    """After so many failures in a row, over all tasks, no request is sent"""
    open_seconds: Annotated[float, Field(gt=0, le=86_400)] = 30.0
    """for so long; then one is sent to try, and if it succeeds all go on."""


Auth = Annotated[Bearer | Basic | ApiKey | OAuth2, Field(discriminator="type")]


def _rate_limit(value: Any) -> Any:
    """``10`` is ten a second."""
    return value if isinstance(value, Mapping | RateLimit) or value is None else {"requests": value}


def _base_url(value: str) -> str:
    _address(value, "base_url")
    return value.rstrip("/")


def _address(url: str, name: str) -> None:
    example = f"expected {name} such as https://api.example.com/v1"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(example) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(example)
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{name} holds a user or a password; put them into auth, with type: basic")
    if parts.query or parts.fragment:
        raise ValueError(f"{name} ends before the query; put its parameters into params")


class HttpConnection(Settings):
    """How an HTTP API is reached: the settings that all sources of type `http` share.

    Proxies come from `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, certificates to trust from
    `SSL_CERT_FILE` or `SSL_CERT_DIR`, else from the system.
    """

    base_url: Annotated[str, AfterValidator(_base_url)]
    """Where the API is, such as `https://api.example.com/v1`. Credentials are sent to this host only."""
    headers: Annotated[Mapping[str, HeaderValue], Frozen] = Field(default_factory=none)
    """Headers of every request to this host."""
    params: Annotated[Mapping[str, SecretStr], Frozen] = Field(default_factory=none)
    """Query parameters of every request to this host, where the request does not say them itself."""
    auth: Auth | None = None
    """How requests are authenticated."""
    timeouts: Timeouts = Field(default_factory=Timeouts.model_construct)
    """How long to wait before a request, or the run, is given up."""
    retries: Retries = Field(default_factory=Retries.model_construct)
    """How failed requests are tried again."""
    rate_limit: Annotated[RateLimit | None, BeforeValidator(_rate_limit)] = None
    """How many requests are sent at most; a number alone is requests per second."""
    breaker: Breaker = Field(default_factory=Breaker.model_construct)
    """When a host that fails again and again is left alone for a while."""
    tls: Tls = Field(default_factory=Tls.model_construct)
    """Which certificates are trusted and shown, where the environment does not say it."""
    http2: bool = False
    """Whether HTTP/2 is spoken where the server does so too, over TLS."""
