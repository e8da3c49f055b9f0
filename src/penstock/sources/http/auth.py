"""Credentials: what is added to a request, and how a token is renewed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from penstock.errors import SourceError
from penstock.sources.http.secrets import Secrets, basic, is_secret

if TYPE_CHECKING:
    from penstock.project.http_client import Auth, OAuth2

_EARLY_SECONDS = 30.0
_EARLY_SHARE = 0.1

Post = Callable[[str, Mapping[str, str], Mapping[str, str]], Awaitable[tuple[int, bytes]]]
"""Sends a form with headers; the answer's status and body."""


class Credentials(Protocol):
    """What proves who asks."""

    fix: str
    """What to do when the API does not accept them."""

    async def headers(self) -> Mapping[str, str]:
        """The headers for a request."""
        ...

    def renew(self, refused: Mapping[str, str]) -> bool:
        """The API refused these headers: whether others may follow."""
        ...


class Fixed:
    """Credentials that stay as they are."""

    def __init__(self, headers: Mapping[str, str], fix: str) -> None:
        self._headers = headers
        self.fix = fix

    async def headers(self) -> Mapping[str, str]:
        """The same each time."""
        return self._headers

    def renew(self, refused: Mapping[str, str]) -> bool:
        """There are no others."""
        del refused
        return False


class ClientCredentials:
    """A token by the client credentials grant (RFC 6749, 4.4): fetched once for all who wait for it."""

    def __init__(
        self,
        settings: OAuth2,
        post: Post,
        secrets: Secrets,
        *,
        where: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._post = post
        self._secrets = secrets
        self._where = where
        self._clock = clock
        self._fetching = asyncio.Lock()
        self._headers: Mapping[str, str] = {}
        self._renew_at = 0.0
        self.fix = f"check what the client {settings.client_id} may do, and auth.scope"

    async def headers(self) -> Mapping[str, str]:
        """The token, a new one when it is about to expire."""
        if not self._headers or self._clock() >= self._renew_at:
            async with self._fetching:
                if not self._headers or self._clock() >= self._renew_at:
                    await self._fetch()
        return self._headers

    def renew(self, refused: Mapping[str, str]) -> bool:
        """The next request fetches a new token, unless that has been done since."""
        if refused is self._headers:
            self._headers = {}
        return True

    async def _fetch(self) -> None:
        settings = self._settings
        form = {"grant_type": "client_credentials"}
        for name, value in settings.parameters.items():
            form[name] = value.get_secret_value()
            if is_secret(name):
                self._secrets.add(form[name])
        if settings.scope:
            form["scope"] = settings.scope
        secret = settings.client_secret.get_secret_value()
        headers = {"Accept": "application/json"}
        if settings.credentials_in == "header":  # both are form-encoded first (RFC 6749, 2.3.1)
            headers["Authorization"] = basic(quote(settings.client_id, safe=""), quote(secret, safe=""))
            self._secrets.add(headers["Authorization"].removeprefix("Basic "))
        else:
            form |= {"client_id": settings.client_id, "client_secret": secret}
        status, body = await self._post(settings.token_url, form, headers)
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if status != 200 or not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            raise self._refused(status, answer, body)
        kind = str(answer.get("token_type") or "Bearer")
        if kind.lower() != "bearer":
            raise SourceError(
                f"{settings.token_url} gave a token of type {self._secrets.mask(kind)[:40]!r}, which is not understood",
                where=self._where,
                fix="ask the API for bearer tokens",
            )
        self._secrets.add(token)
        try:
            lifetime = float(answer.get("expires_in", "inf"))
        except (TypeError, ValueError):
            lifetime = float("inf")
        self._renew_at = self._clock() + lifetime - min(_EARLY_SECONDS, lifetime * _EARLY_SHARE)
        self._headers = {"Authorization": f"Bearer {token}"}

    def _refused(self, status: int, answer: object, body: bytes) -> SourceError:
        """An error of the token endpoint (RFC 6749, 5.2), in its own words where it has any."""
        words = ""
        if isinstance(answer, dict):
            words = ": ".join(str(answer[k]) for k in ("error", "error_description") if answer.get(k))
        words = words or body[:200].decode("utf-8", "replace").strip() or "nothing"
        return SourceError(
            f"no token from POST {self._settings.token_url}, which gave status {status}: "
            f"{self._secrets.mask(words)[:300]}",
            where=self._where,
            fix="check auth.token_url, auth.client_id, auth.client_secret and auth.scope; "
            "some servers want auth.credentials_in: body",
        )


def credentials_of(auth: Auth | None, post: Post, secrets: Secrets, *, where: str) -> Credentials:
    """The credentials that the settings name. A key in the query is not among them: see :func:`query_key`."""
    if auth is None:
        return Fixed({}, "the API asks for credentials: set auth")
    if auth.type == "oauth2":
        secrets.add(auth.client_secret.get_secret_value())
        return ClientCredentials(auth, post, secrets, where=where)
    if auth.type == "bearer":
        secrets.add(token := auth.token.get_secret_value())
        return Fixed({"Authorization": f"Bearer {token}"}, "check auth.token, which is wrong or has expired")
    if auth.type == "basic":
        secrets.add(password := auth.password.get_secret_value())
        header = basic(auth.user, password)
        secrets.add(header.removeprefix("Basic "))
        return Fixed({"Authorization": header}, "check auth.user and auth.password")
    secrets.add(key := auth.key.get_secret_value())
    fix = f"check auth.key, and that the API wants it as {auth.location} {auth.name}"
    return Fixed({auth.name: key} if auth.location == "header" else {}, fix)


def query_key(auth: Auth | None) -> tuple[str, str] | None:
    """Name and value of the key that is sent in the query."""
    if auth is not None and auth.type == "api_key" and auth.location == "query":
        return auth.name, auth.key.get_secret_value()
    return None
