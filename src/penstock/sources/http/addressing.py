"""Where the requests of one API go: their whole addresses, and where redirects lead."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urljoin, urlsplit

from penstock.sources.http.addresses import origin, with_query, without, without_user
from penstock.sources.http.request_errors import Refusals
from penstock.sources.http.responses import Request

_REDIRECTS = 10


class Addressing:
    """The addresses below ``base_url``; ``params`` go to that scheme, host and port only, and so does the ``key``."""

    def __init__(
        self, base_url: str, params: Mapping[str, str], key: tuple[str, str] | None, refusals: Refusals
    ) -> None:
        self._base_url = base_url
        self._origin = origin(base_url)
        self._params = params
        self._key = key
        self._refusals = refusals

    def of(self, request: Request) -> str:
        """The whole address of a request, without the key that may have to be in its query."""
        url = request.url
        if "://" in url:
            if urlsplit(url).scheme == "http" and self._origin.startswith("https:"):
                raise self._refusals.downgrade(request.method, url)
            url = without_user(url)
        else:
            url = f"{self._base_url}/{url.lstrip('/')}" if url else self._base_url
        pairs = list(request.params.items() if isinstance(request.params, Mapping) else request.params)
        if self._params and origin(url) == self._origin:
            given = {name for name, _ in pairs}
            if "?" in url:
                given |= dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)).keys()
            pairs = [*((k, v) for k, v in self._params.items() if k not in given), *pairs]
        return with_query(url, pairs)

    def with_key(self, url: str) -> str:
        """An address of the API with the key that has to be in its query, where one has to."""
        return url if self._key is None else with_query(without(url, self._key[0]), [self._key])

    def redirected(self, method: str, url: str, location: str, number: int) -> str:
        """Where to go on.

        Raises:
            SourceError: nowhere.
        """
        try:
            to = without_user(urljoin(url, location)).partition("#")[0]
            is_address = urlsplit(to).scheme in ("http", "https") and bool(urlsplit(to).hostname)
        except ValueError:
            raise self._refusals.redirected(method, url, "", "which is no HTTP address") from None
        if not is_address:
            raise self._refusals.redirected(method, url, to, "which is no HTTP address")
        if number > _REDIRECTS:
            raise self._refusals.redirected(method, url, to, f"after {_REDIRECTS} redirects before")
        if urlsplit(url).scheme == "https" and urlsplit(to).scheme == "http":
            raise self._refusals.downgrade(method, to)
        return to if self._key is None else without(to, self._key[0])
