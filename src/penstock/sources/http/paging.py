"""How one page leads to the next. A paginator is told of pages and says what to ask for; it fetches nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import urljoin, urlsplit

from penstock.jsonpath import parse_path, value_at
from penstock.sources.http.links import next_link
from penstock.sources.http.records import BadPage
from penstock.sources.http.signs import ABSENT, Signs

if TYPE_CHECKING:
    from penstock.ports import Reject
    from penstock.project import pagination as settings
    from penstock.records.splitters import Cut

State = Mapping[str, Any]
_NO = frozenset({"", "0", "false", "no", "n", "f", "null", "none"})
"""Texts that say that there is no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A page to ask for. ``state`` is what positions keep of it; ``link`` is its whole address, where one was given.

    A page ``beyond`` the end that answers tell is asked for to see that there is nothing.
    """

    state: State
    params: Mapping[str, Any] = field(default_factory=dict)
    link: str | None = None
    beyond: bool = False

    def asks_as(self, other: Step) -> bool:
        """Whether both are the same request."""
        return (self.params, self.link, self.beyond) == (other.params, other.link, other.beyond)


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

    leads: bool
    """Whether an answer names the page after it, which has to be there then; otherwise it is reckoned."""

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


def paginator(pagination: settings.Pagination, signs: Signs) -> Paginator:
    """The paginator of the settings, for one list."""
    kinds: dict[str, Any] = {
        "page": ByNumber,
        "offset": ByOffset,
        "cursor": ByCursor,
        "next_link": ByLink,
        "link_header": ByLinkHeader,
        "none": Single,
    }
    made: Paginator = kinds[pagination.type](pagination, signs)
    return made


class _Counted:
    """What numbers and offsets share: the end is where an answer says it is, else behind an empty or a short page.

    What answers say may be wrong, and mean the records of one page: where it ends the list at a full page, or before
    the records that came, the page behind is asked for too.
    """

    leads = False

    def __init__(self, settings: settings.Page | settings.Offset, asked: int | None, signs: Signs) -> None:
        self._asked = asked
        self._signs = signs
        self._total = None if settings.total is None else parse_path(settings.total)
        self._shown_total = settings.total or ""
        self._header = settings.total_header
        self._size = 0
        """Records of the first page seen: what a server gives may be less than what it is asked for."""
        self._told: int | None = None
        """How many records there are, as the last answer that tells it says."""
        self._wrong = False
        """Whether there were more records than that."""
        self._repeated = 0
        self._pages_seen = 0

    @property
    def _end(self) -> int | None:
        """How many records there are, as far as the answers say, and repeated ones counted."""
        return None if self._told is None or self._wrong else self._told + self._repeated

    def _look(self, step: Step, answer: Answer, before: int, repeated: bool) -> Literal["more", "beyond", "end"]:
        """Take in a page that has ``before`` records before it: whether one comes behind it."""
        count = len(answer)
        self._pages_seen += 1
        if not self._size:
            self._size = int(step.state.get("size", 0)) or count
            self._repeated = int(step.state.get("repeated", 0))
        self._repeated += repeated * count
        if step.beyond and count:
            self._signs.note("total", f"{self._shown_end()}, and there were more: mend it, or leave it out")
            self._wrong = True
        if (told := self._read_end(answer)) is not None:
            self._told = told
            if told > self._measure(count):
                self._signs.proven()
        if not count:
            if self._end is not None and before < self._end:
                self._signs.note(
                    "total",
                    f"{self._shown_end()}, and no more than {before:,} came, up to an empty page: mend the setting that"
                    " names it, or ask the API's owner whether that is all",
                )
            return "end"
        if self._end is None:
            return "end" if self._told is None and self._size == self._asked and count < self._size else "more"
        reached = before + self._measure(count)
        if reached < self._end:
            return "more"
        full = count >= self._size and (self._pages_seen > 1 or not self._signs.trusted)
        return "beyond" if full or reached > self._end else "end"

    def _measure(self, count: int) -> int:
        """What a page of so many records counts for in what answers tell."""
        return count

    def _read_end(self, answer: Answer) -> int | None:
        if self._header is not None:
            text = answer.headers.get(self._header)
            self._signs.look("pagination.total_header", f"no header {self._header}", present=text is not None)
            return self._count(ABSENT if text is None else text, f"header {self._header}")
        if self._total is None:
            return None
        value = self._signs.value(answer.envelope, self._total, "pagination.total", self._shown_total)
        return self._count(value, f"total: {self._shown_total}")

    def _count(self, value: Any, where: str) -> int | None:
        """A number of records; None where an answer does not tell it: nothing, null, or below 0."""
        if value is ABSENT or value is None:
            return None
        try:
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                number = float(value)
                if math.isfinite(number) and number == int(number):
                    return int(number) if number >= 0 else None
        except (ValueError, OverflowError):
            pass
        shown = json.dumps(value)[:40]
        self._signs.note(where, f"{where} holds {shown}, which is no number, so it does not tell the end: mend it")
        return None

    def _shown_end(self) -> str:
        named = f"header {self._header}" if self._header else self._shown_total
        return f"{named} says that there are {self._told:,} records"

    def _state(self, **place: int) -> State:
        return {**place, "size": self._size, **({"repeated": self._repeated} if self._repeated else {})}


class ByNumber(_Counted):
    """Page numbers."""

    def __init__(self, settings: settings.Page, signs: Signs) -> None:
        super().__init__(settings, settings.size, signs)
        self._settings = settings
        self._pages = None if settings.pages is None else parse_path(settings.pages)

    def at(self, state: State) -> Step:
        return self._step(state if "page" in state else {"page": self._settings.start})

    def following(self, step: Step, answer: Answer, *, repeated: bool = False) -> Step | None:
        number = int(step.state["page"])
        before = (number - self._settings.start) * (self._size or int(step.state.get("size", 0)) or len(answer))
        found = self._look(step, answer, before, repeated)
        if found == "end" or number == self._settings.last:
            return None
        return self._step(self._state(page=number + 1), beyond=found == "beyond")

    def ahead(self, step: Step) -> Step | None:
        number = int(step.state["page"]) + 1
        if self._settings.last is not None and number > self._settings.last:
            return None
        if not self._size or (self._end is not None and (number - self._settings.start) * self._size >= self._end):
            return None
        return self._step(self._state(page=number))

    def _measure(self, count: int) -> int:
        return self._size if self._pages else count

    def _read_end(self, answer: Answer) -> int | None:
        if self._pages is None:
            return super()._read_end(answer)
        assert self._settings.pages is not None
        value = self._signs.value(answer.envelope, self._pages, "pagination.pages", self._settings.pages)
        pages = self._count(value, f"pages: {self._settings.pages}")
        return None if pages is None else pages * self._size

    def _shown_end(self) -> str:
        if self._pages is None or self._told is None:
            return super()._shown_end()
        return f"{self._settings.pages} says that there are {self._told // max(self._size, 1):,} pages"

    def _step(self, state: State, *, beyond: bool = False) -> Step:
        params: dict[str, Any] = {self._settings.param: int(state["page"])}
        if self._settings.size_param is not None and self._settings.size is not None:
            params[self._settings.size_param] = self._settings.size
        return Step(state=state, params=params, beyond=beyond)


class ByOffset(_Counted):
    """Numbers of records before the page."""

    def __init__(self, settings: settings.Offset, signs: Signs) -> None:
        super().__init__(settings, settings.limit, signs)
        self._settings = settings

    def at(self, state: State) -> Step:
        return self._step(state if "offset" in state else {"offset": 0})

    def following(self, step: Step, answer: Answer, *, repeated: bool = False) -> Step | None:
        before = int(step.state["offset"])
        found = self._look(step, answer, before, repeated)
        if found == "end":
            return None
        return self._step(self._state(offset=before + len(answer)), beyond=found == "beyond")

    def ahead(self, step: Step) -> Step | None:
        offset = int(step.state["offset"]) + self._size
        if not self._size or (self._end is not None and offset >= self._end):
            return None
        return self._step(self._state(offset=offset))

    def _step(self, state: State, *, beyond: bool = False) -> Step:
        params = {self._settings.param: int(state["offset"]), self._settings.limit_param: self._settings.limit}
        return Step(state=state, params=params, beyond=beyond)


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
