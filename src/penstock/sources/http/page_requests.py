"""What asks for a page, and how the page is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from penstock.errors import MASK, redact
from penstock.sources.http.addresses import without
from penstock.sources.http.pages import Step
from penstock.sources.http.responses import Request
from penstock.sources.http.secrets import is_secret

if TYPE_CHECKING:
    from penstock.project.http import Endpoint
    from penstock.sources.http.fetched import Walk

_SHOWN_VALUE = 64


class Asking:
    """Requests of one endpoint. ``own_params`` are those that the client adds to every request."""

    def __init__(self, endpoint: Endpoint, own_params: Sequence[str]) -> None:
        self._endpoint = endpoint
        self._own_params = own_params

    def freed(self, following: Step | None) -> Step | None:
        """A step whose link has no parameter that every request gets anyway: some of them are secret."""
        if following is None or following.link is None:
            return following
        link = following.link
        for name in {n for n, _ in parse_qsl(urlsplit(link).query)} & set(self._own_params):
            link = without(link, name)
        return Step(state={"link": link}, link=link)

    def request(self, walk: Walk, step: Step, accept: frozenset[int]) -> Request:
        """What asks for a page; ``accept`` are the statuses that say that there is none."""
        endpoint = self._endpoint
        if step.link is not None:
            return Request(
                method=endpoint.method, url=step.link, headers=endpoint.headers, json=walk.body, accept=accept
            )
        params, body = {**walk.params, **step.params}, walk.body
        if endpoint.parameters_in == "body":
            params, body = dict(endpoint.params), {**(body or {}), **walk.shown, **step.params}
        return Request(
            method=endpoint.method, url=walk.path, params=params, headers=endpoint.headers, json=body, accept=accept
        )

    def place(self, walk: Walk, step: Step) -> str:
        """Where records come from, as origins show it: no secret, no base address."""
        path, shown = walk.path, {**walk.shown, **step.params}
        if step.link is not None:
            parts = urlsplit(step.link)
            path, shown = parts.path, dict(parse_qsl(parts.query))
        text = {k: MASK if is_secret(k) and step.link else _short(str(v)) for k, v in shown.items()}
        query = urlencode(text, quote_via=quote, safe=":,/…*")
        return redact(f"{self._endpoint.method} /{path.lstrip('/')}" + (f"?{query}" if query else ""))


def _short(value: str) -> str:
    return value if len(value) <= _SHOWN_VALUE else f"{value[:_SHOWN_VALUE]}…"
