"""Links in headers: the field ``Link`` of RFC 8288."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urljoin

_TARGET = re.compile(r"[\s,]*<([^>]*)>")
_PARAMETER = re.compile(
    r'\s*;\s*(?:(?P<name>[^\s;,="<>]+)\s*(?:=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^\s;,"]*)))?)?', re.DOTALL
)
_UNTIL_COMMA = re.compile(r'(?:[^",<]|"(?:[^"\\]|\\.)*"?)*', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def links(header: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each link's target and parameters, whose names are small; of several of a name the first counts (RFC 8288, 3.3).

    What is no link is passed over, up to the next comma outside of quotes.
    """
    at = 0
    while at < len(header):
        if (target := _TARGET.match(header, at)) is None:
            at = _behind(header, at + 1)
            continue
        at = target.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, at):
            at = parameter.end()
            if parameter["name"]:
                quoted = parameter["quoted"]
                value = parameter["token"] or "" if quoted is None else _ESCAPED.sub(r"\1", quoted)
                parameters.setdefault(parameter["name"].lower(), value)
        at = _behind(header, at)
        yield target[1].strip(), parameters


def _behind(header: str, at: int) -> int:
    """Where the next comma outside of quotes is, or the end."""
    rest = _UNTIL_COMMA.match(header, at)
    return len(header) if rest is None else rest.end()


def next_link(header: str, url: str = "") -> str | None:
    """The target of the link whose ``rel`` is ``next``; one that is about another page than ``url`` is not meant.

    >>> next_link('</a?page=1>; rel="prev", </a?page=3>; rel="next"')
    '/a?page=3'
    """
    for target, parameters in links(header):
        elsewhere = "anchor" in parameters and _joined(url, parameters["anchor"]) != url
        if "next" in parameters.get("rel", "").lower().split() and not elsewhere:
            return target
    return None


def _joined(url: str, link: str) -> str | None:
    try:
        return urljoin(url, link)
    except ValueError:
        return None
