"""Addresses: where they lead, and how their query is put together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_HEAD = re.compile(r"[^?#/]*(?://[^?#/]*)?")


def origin(url: str) -> str:
    """Scheme, host and port of an address (RFC 6454)."""
    head = _HEAD.match(url)
    return _origin_of_head(head[0] if head else url)


@lru_cache(256)
def _origin_of_head(head: str) -> str:
    parts = urlsplit(head)
    try:
        port = parts.port
    except ValueError:
        port = None
    return f"{parts.scheme}://{parts.hostname}:{port or (443 if parts.scheme == 'https' else 80)}"


def without_user(url: str) -> str:
    """An address without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else url


def with_query(url: str, pairs: Sequence[tuple[str, Any]]) -> str:
    """An address with more parameters; lists are repeated, what is None is left out."""
    texts = [(k, _text(v)) for k, many in pairs for v in (many if isinstance(many, list | tuple) else [many])]
    query = urlencode([(k, v) for k, v in texts if v is not None])
    if not query:
        return url
    head = url.partition("#")[0]
    return f"{head}{'&' if '?' in head else '?'}{query}"


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def without(url: str, parameter: str) -> str:
    """An address without a query parameter."""
    parts = urlsplit(url)
    kept = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k.lower() != parameter.lower()]
    return urlunsplit(parts._replace(query=urlencode(kept)))
