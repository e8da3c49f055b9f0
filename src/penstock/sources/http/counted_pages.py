"""Pages by number and by offset: which one comes next is reckoned, and answers may say where the end is."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Literal

from penstock.jsonpath import parse_path
from penstock.sources.http.pages import Answer, State, Step
from penstock.sources.http.signs import ABSENT, Signs

if TYPE_CHECKING:
    from penstock.project import pagination as settings


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
        if (end := self._read_end(answer)) is not None:
            self._told = end
            if end > self._measure(count):
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
        what = self._look(step, answer, before, repeated)
        if what == "end" or number == self._settings.last:
            return None
        return self._step(self._state(page=number + 1), beyond=what == "beyond")

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
        what = self._look(step, answer, before, repeated)
        if what == "end":
            return None
        return self._step(self._state(offset=before + len(answer)), beyond=what == "beyond")

    def ahead(self, step: Step) -> Step | None:
        offset = int(step.state["offset"]) + self._size
        if not self._size or (self._end is not None and offset >= self._end):
            return None
        return self._step(self._state(offset=offset))

    def _step(self, state: State, *, beyond: bool = False) -> Step:
        params = {self._settings.param: int(state["offset"]), self._settings.limit_param: self._settings.limit}
        return Step(state=state, params=params, beyond=beyond)
