"""Pages by cursor and by link, which an answer has to name, and one answer that has all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from penstock.jsonpath import parse_path, value_at
from penstock.sources.http.links import next_link
from penstock.sources.http.pages import Answer, State, Step
from penstock.sources.http.records import BadPage
from penstock.sources.http.signs import ABSENT, Signs

if TYPE_CHECKING:
    from penstock.project import pagination as settings

_NO = frozenset({"", "0", "false", "no", "n", "f", "null", "none"})
"""Texts that say that there is no more."""


class _Sequential:
    """Only a page knows the one after it."""

    leads = True

    def ahead(self, step: Step) -> Step | None:
        del step
        return None


class ByCursor(_Sequential):
    """Cursors."""

    def __init__(self, settings: settings.Cursor, signs: Signs) -> None:
        self._settings = settings
        self._signs = signs
        self._path = None if settings.path is None else parse_path(settings.path)
        self._field = None if settings.field is None else parse_path(settings.field)
        self._more = None if settings.more is None else parse_path(settings.more)
        self.leads = settings.path is not None

    def at(self, state: State) -> Step:
        params: dict[str, Any] = {}
        if self._settings.size_param is not None and self._settings.size is not None:
            params[self._settings.size_param] = self._settings.size
        if "cursor" in state:
            params[self._settings.param] = state["cursor"]
        return Step(state=state, params=params)

    def following(self, step: Step, answer: Answer, *, repeated: bool = False) -> Step | None:
        del step, repeated
        more = self._says_more(answer)
        if more is False:
            return None
        if self._path is not None:
            cursor = _named(self._signs, answer, self._path, self._settings.path or "")
        elif answer.last is not None:
            assert self._field is not None
            cursor = value_at(_parsed(answer.last), self._field)
            if cursor is None:
                raise BadPage(
                    f"the last record has no field {self._settings.field!r}, which is the cursor",
                    "check field: of the pagination",
                )
        else:
            cursor = None
        if cursor is None or cursor == "" or cursor is False:
            if more:
                where = f"at {self._settings.path}" if self._path else "since there is no record"
                raise BadPage(
                    f"{self._settings.more} says that there is more, and there is no cursor {where}",
                    "check path: and more: of the pagination",
                )
            return None
        named = self._settings.path or self._settings.field
        if not isinstance(cursor, str | int | float):
            raise BadPage(f"the cursor at {named} is no text or number", "check path: of the pagination")
        if not _is_text(str(cursor)):
            raise BadPage(f"the cursor at {named} is no text that a request can hold")
        return self.at({"cursor": cursor})

    def _says_more(self, answer: Answer) -> bool | None:
        """Whether the answer says that there is more; None when it says nothing."""
        if self._more is None:
            return None
        value = self._signs.value(answer.envelope, self._more, "pagination.more", self._settings.more or "")
        if value is ABSENT:
            return None
        return value.strip().lower() not in _NO if isinstance(value, str) else bool(value)


class ByLink(_Sequential):
    """Links in the body."""

    def __init__(self, settings: settings.NextLink, signs: Signs) -> None:
        self._path = parse_path(settings.path)
        self._shown = settings.path
        self._signs = signs

    def at(self, state: State) -> Step:
        return Step(state=state, link=state.get("link"))

    def following(self, step: Step, answer: Answer, *, repeated: bool = False) -> Step | None:
        del step, repeated
        link = _named(self._signs, answer, self._path, self._shown)
        if link is None or link == "" or link is False:
            return None
        if not isinstance(link, str):
            raise BadPage(f"the link at {self._shown} is no text", "check path: of the pagination")
        return self.at({"link": _address(answer.url, link)})


class ByLinkHeader(_Sequential):
    """Links in the header ``Link`` (RFC 8288)."""

    def __init__(self, settings: settings.LinkHeader, signs: Signs) -> None:
        del settings, signs

    def at(self, state: State) -> Step:
        return Step(state=state, link=state.get("link"))

    def following(self, step: Step, answer: Answer, *, repeated: bool = False) -> Step | None:
        del step, repeated
        link = next_link(answer.headers.get("link") or "", answer.url)
        return None if link is None else self.at({"link": _address(answer.url, link)})


class Single(_Sequential):
    """One answer has all."""

    def __init__(self, settings: settings.NoPages, signs: Signs) -> None:
        del settings, signs

    def at(self, state: State) -> Step:
        del state
        return Step(state={})

    def following(self, step: Step, answer: Answer, *, repeated: bool = False) -> Step | None:
        del step, answer, repeated
        return None


def _named(signs: Signs, answer: Answer, path: Sequence[Any], shown: str) -> Any:
    """What leads on from an answer; None when it is the last. An empty list need not say that it is the last one."""
    if not len(answer):
        return value_at(answer.envelope, path)
    value = signs.value(answer.envelope, path, "pagination.path", shown)
    return None if value is ABSENT else value


def _address(url: str, link: str) -> str:
    """Where a link on a page leads.

    Raises:
        BadPage: to no HTTP address.
    """
    try:
        address = urljoin(url, link.strip())
        parts = urlsplit(address)
        address.encode()
        if parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0):
            return address
    except ValueError:
        pass
    raise BadPage("the link to the next page is no HTTP address", "check path: of the pagination")


def _is_text(text: str) -> bool:
    """Whether a text has an encoding: JSON can hold halves of characters, which have none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadPage("the last record is not JSON, and the cursor is in it") from None
