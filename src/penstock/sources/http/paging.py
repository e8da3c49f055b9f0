"""How one page leads to the next. A paginator is told of pages and says what to ask for; it fetches nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urljoin

from penstock.jsonpath import parse_path, value_at
from penstock.sources.http.records import BadPage

if TYPE_CHECKING:
    from penstock.ports import Reject
    from penstock.project import http as settings
    from penstock.sources.splitters import Cut

State = Mapping[str, Any]
_LINK = re.compile(
    r'<(?P<target>[^>]*)>(?P<rest>(?:\s*;\s*[\w*!#$&+.^`|~-]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^",;\s]+))?)*)'
)
_REL = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^",;\s]+))', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A page to ask for. ``state`` is what positions keep of it; ``link`` is its whole address, where one was given."""

    state: State
    params: Mapping[str, Any] = field(default_factory=dict)
    link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a page said: its records, and what is around them. ``rejects`` count as records, but cannot be cut."""

    cuts: Sequence[Cut]
    rejects: Sequence[Reject]
    envelope: Any
    headers: Mapping[str, str]
    url: str
    size_bytes: int

    def __len__(self) -> int:
        return sum(len(c.bodies) for c in self.cuts) + len(self.rejects)

    @property
    def last(self) -> bytes | None:
        """The last record."""
        found: bytes | None = next((c.bodies[-1].as_py() for c in reversed(self.cuts) if len(c.bodies)), None)
        return found


class Paginator(Protocol):
    """The pages of one list."""

    def at(self, state: State) -> Step:
        """The page that ``state`` is of; the first one for an empty state."""
        ...

    def following(self, step: Step, answer: Answer, *, repeated: bool = False) -> Step | None:
        """The page after this one; None when it is the last. A ``repeated`` page has the records of one before it, so
        that there are as many more behind it.

        Raises:
            BadPage: the answer does not say what it should.
        """
        ...

    def ahead(self, step: Step) -> Step | None:
        """The page after this one as far as it is known without its answer. It may be beyond the end."""
        ...


def paginator(pagination: settings.Pagination) -> Paginator:
    """The paginator of the settings, for one list."""
    kinds: dict[str, Any] = {
        "page": ByNumber,
        "offset": ByOffset,
        "cursor": ByCursor,
        "next_link": ByLink,
        "link_header": ByLinkHeader,
        "none": Single,
    }
    made: Paginator = kinds[pagination.type](pagination)
    return made


class _Counted:
    """What numbers and offsets share: the end is where an answer says it is, else behind an empty or a short page."""

    def __init__(self, asked: int | None, total: str | None, total_header: str | None) -> None:
        self._asked = asked
        self._total = None if total is None else parse_path(total)
        self._header = total_header
        self._size = 0
        """Records of the first page seen: what a server gives may be less than what it is asked for."""
        self._end: int | None = None
        """How many records there are, as far as the answers say, and repeated ones counted."""
        self._repeated = 0

    def _look(self, step: Step, answer: Answer, repeated: bool) -> bool:
        """Take in a page; whether there can be one behind it."""
        if not self._size:
            self._size = int(step.state.get("size", 0)) or len(answer)
            self._repeated = int(step.state.get("repeated", 0))
        self._repeated += repeated * len(answer)
        end = self._said(answer)
        self._end = None if end is None else end + self._repeated
        if not len(answer):
            return False
        return not (end is None and self._size == self._asked and len(answer) < self._size)

    def _said(self, answer: Answer) -> int | None:
        if self._header is not None:
            return _count(answer.headers.get(self._header), f"header {self._header}")
        return None if self._total is None else _count(value_at(answer.envelope, self._total), "total")

    def _state(self, **place: int) -> State:
        return {**place, "size": self._size, **({"repeated": self._repeated} if self._repeated else {})}


class ByNumber(_Counted):
    """Page numbers."""

    def __init__(self, settings: settings.Page) -> None:
        super().__init__(settings.size, settings.total, settings.total_header)
        self._settings = settings
        self._pages = None if settings.pages is None else parse_path(settings.pages)

    def at(self, state: State) -> Step:
        return self._step(state if "page" in state else {"page": self._settings.start})

    def following(self, step: Step, answer: Answer, *, repeated: bool = False) -> Step | None:
        number = int(step.state["page"])
        if not self._look(step, answer, repeated) or number == self._settings.last:
            return None
        before = (number - self._settings.start) * self._size + (self._size if self._pages else len(answer))
        if self._end is not None and before >= self._end:
            return None
        return self._step(self._state(page=number + 1))

    def ahead(self, step: Step) -> Step | None:
        number = int(step.state["page"]) + 1
        if self._settings.last is not None and number > self._settings.last:
            return None
        if not self._size or (self._end is not None and (number - self._settings.start) * self._size >= self._end):
            return None
        return self._step(self._state(page=number))

    def _said(self, answer: Answer) -> int | None:
        if self._pages is not None:
            return _count(value_at(answer.envelope, self._pages), "pages") * self._size
        return super()._said(answer)

    def _step(self, state: State) -> Step:
        params: dict[str, Any] = {self._settings.param: int(state["page"])}
        if self._settings.size_param is not None and self._settings.size is not None:
            params[self._settings.size_param] = self._settings.size
        return Step(state=state, params=params)


class ByOffset(_Counted):
    """Numbers of records before the page."""

    def __init__(self, settings: settings.Offset) -> None:
        super().__init__(settings.limit, settings.total, settings.total_header)
        self._settings = settings

    def at(self, state: State) -> Step:
        return self._step(state if "offset" in state else {"offset": 0})

    def following(self, step: Step, answer: Answer, *, repeated: bool = False) -> Step | None:
        after = int(step.state["offset"]) + len(answer)
        if not self._look(step, answer, repeated) or (self._end is not None and after >= self._end):
            return None
        return self._step(self._state(offset=after))

    def ahead(self, step: Step) -> Step | None:
        offset = int(step.state["offset"]) + self._size
        if not self._size or (self._end is not None and offset >= self._end):
            return None
        return self._step(self._state(offset=offset))

    def _step(self, state: State) -> Step:
        params = {self._settings.param: int(state["offset"]), self._settings.limit_param: self._settings.limit}
        return Step(state=state, params=params)


class _Sequential:
    """Only a page knows the one after it."""

    def ahead(self, step: Step) -> Step | None:
        del step
        return None


class ByCursor(_Sequential):
    """Cursors."""

    def __init__(self, settings: settings.Cursor) -> None:
        self._settings = settings
        self._path = None if settings.path is None else parse_path(settings.path)
        self._field = None if settings.field is None else parse_path(settings.field)
        self._more = None if settings.more is None else parse_path(settings.more)

    def at(self, state: State) -> Step:
        params: dict[str, Any] = {}
        if self._settings.size_param is not None and self._settings.size is not None:
            params[self._settings.size_param] = self._settings.size
        if "cursor" in state:
            params[self._settings.param] = state["cursor"]
        return Step(state=state, params=params)

    def following(self, step: Step, answer: Answer, *, repeated: bool = False) -> Step | None:
        del step, repeated
        if self._more is not None and not value_at(answer.envelope, self._more):
            return None
        if self._path is not None:
            cursor = value_at(answer.envelope, self._path)
        elif answer.last is not None:
            assert self._field is not None
            cursor = value_at(_parsed(answer.last), self._field)
            if cursor is None:
                raise BadPage(f"the last record has no field {self._settings.field!r}, which is the cursor")
        else:
            return None
        if cursor is None or cursor == "" or cursor is False:
            return None
        if not isinstance(cursor, str | int | float):
            raise BadPage(f"the cursor at {self._settings.path} is no text or number")
        return self.at({"cursor": cursor})


class ByLink(_Sequential):
    """Links in the body."""

    def __init__(self, settings: settings.NextLink) -> None:
        self._path = parse_path(settings.path)
        self._shown = settings.path

    def at(self, state: State) -> Step:
        return Step(state=state, link=state.get("link"))

    def following(self, step: Step, answer: Answer, *, repeated: bool = False) -> Step | None:
        del step, repeated
        link = value_at(answer.envelope, self._path)
        if link is None or link == "" or link is False:
            return None
        if not isinstance(link, str):
            raise BadPage(f"the link at {self._shown} is no text")
        return self.at({"link": urljoin(answer.url, link)})


class ByLinkHeader(_Sequential):
    """Links in the header ``Link`` (RFC 8288)."""

    def __init__(self, settings: settings.LinkHeader) -> None:
        del settings

    def at(self, state: State) -> Step:
        return Step(state=state, link=state.get("link"))

    def following(self, step: Step, answer: Answer, *, repeated: bool = False) -> Step | None:
        del step, repeated
        link = next_link(answer.headers.get("link") or "")
        return None if link is None else self.at({"link": urljoin(answer.url, link)})


class Single(_Sequential):
    """One answer has all."""

    def __init__(self, settings: settings.NoPages) -> None:
        del settings

    def at(self, state: State) -> Step:
        del state
        return Step(state={})

    def following(self, step: Step, answer: Answer, *, repeated: bool = False) -> Step | None:
        del step, answer, repeated
        return None


def next_link(header: str) -> str | None:
    """The target of the link whose ``rel`` is ``next``.

    >>> next_link('</a?page=1>; rel="prev", </a?page=3>; rel="next"')
    '/a?page=3'
    """
    for match in _LINK.finditer(header):
        rel = _REL.search(match["rest"])
        if rel and "next" in (rel[1] or rel[2] or "").lower().split():
            return match["target"]
    return None


def _count(said: Any, where: str) -> int:
    try:
        if isinstance(said, str | int | float) and not isinstance(said, bool):
            return int(said)
    except (ValueError, OverflowError):
        pass
    raise BadPage(f"{where} is {'missing' if said is None else 'no number'}")


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadPage("the last record is not JSON, and the cursor is in it") from None
