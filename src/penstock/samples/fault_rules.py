"""What goes wrong on purpose, and when: ``500@3``, ``429@5-8``, ``reset:0.02``, ``duplicate@4``.

``kind@n`` strikes at the n-th request, ``kind@n-m`` from the n-th to the m-th, ``kind@n-`` from the n-th on, and
``kind:p`` at random with probability p. Faults of an answer count the requests for data, so that asking again is
another request; faults of paging count pages from 1, and stay as they are for the life of the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from penstock.errors import UsageError
from penstock.samples.draws import Draw

ANSWERS = {
    "stall": "half of the answer, and then nothing",
    "reset": "the connection is reset instead of an answer",
    "cut": "the connection ends in the middle of the answer",
    "truncate": "half of the answer, as if it were all",
    "html": "an HTML page with status 200",
    "expire": "every token given so far is no longer good",
}
"""Kinds of fault in an answer, besides any status from 400 to 599."""

PAGES = {
    "duplicate": "the page comes twice",
    "reorder": "the page and the next one change places",
    "repeat": "the page comes again for ever",
}
"""Kinds of fault in the order of pages. But for ``repeat`` they lose no record."""

_SPEC = re.compile(r"(?P<kind>[a-z]+|[45]\d\d)(?:@(?P<first>\d+)(?P<range>-(?P<last>\d+)?)?|:(?P<odds>0?\.\d+|[01]))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of fault: from the ``first`` request or page to the ``last`` (None: no end), or at random."""

    kind: str
    first: int = 1
    last: int | None = None
    odds: float = 1.0

    def strikes(self, draw: Draw, number: int) -> bool:
        """Whether it strikes at a number, from 1."""
        if number < self.first or (self.last is not None and number > self.last):
            return False
        return self.odds >= 1 or draw.share(self.kind, number) < self.odds


class Faults:
    """All faults of a server. The same seed and the same requests in the same order meet the same faults."""

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 1) -> None:
        every = tuple(faults)
        self._answers = tuple(f for f in every if f.kind not in PAGES)
        self._pages = tuple(f for f in every if f.kind in PAGES)
        self._draw = Draw(seed)
        self._duplicated: list[int] = [0]

    def __bool__(self) -> bool:
        return bool(self._answers or self._pages)

    def answer(self, request: int) -> str | None:
        """The kind of fault that the n-th request for data meets, from 1."""
        return next((f.kind for f in self._answers if f.strikes(self._draw, request)), None)

    def source(self, page: int, pages: int) -> tuple[int, bool]:
        """Which of so many pages, from 1, is shown as the n-th, and whether it comes for ever."""
        stuck = min((f.first for f in self._pages if f.kind == "repeat"), default=None)
        for_ever = stuck is not None and page >= stuck
        if for_ever and stuck is not None:
            page = stuck
        page -= self._copies_before(page)
        return self._swapped(page, pages), for_ever

    def shown(self, pages: int) -> int:
        """How many pages are shown of so many, copies counted."""
        return pages + self._copied(pages)

    def _strike(self, kind: str, page: int) -> bool:
        return any(f.kind == kind and f.strikes(self._draw, page) for f in self._pages)

    def _copied(self, pages: int) -> int:
        """How many of the first pages come twice."""
        if not any(f.kind == "duplicate" for f in self._pages):
            return 0
        while len(self._duplicated) <= pages:
            self._duplicated.append(self._duplicated[-1] + self._strike("duplicate", len(self._duplicated)))
        return self._duplicated[pages]

    def _copies_before(self, shown: int) -> int:
        """How many of the pages shown up to this one are copies."""
        low, high = 1, shown
        while low < high:
            page = (low + high) // 2
            if self.shown(page) >= shown:
                high = page
            else:
                low = page + 1
        return shown - low

    def _swapped(self, page: int, pages: int) -> int:
        """The page that stands in the place of another."""
        if not any(f.kind == "reorder" for f in self._pages):
            return page
        if page > 1 and self._opens(page - 1):
            return page - 1
        return page + 1 if page < pages and self._opens(page) else page

    def _opens(self, page: int) -> bool:
        """Whether this page changes places with the one after it: it strikes, and is not taken by the one before."""
        run = 0
        while page - run >= 1 and self._strike("reorder", page - run):
            run += 1
        return run % 2 == 1


def parse_faults(specs: Iterable[str], seed: int = 1) -> Faults:
    """Faults as written, each text with one or more of them between commas.

    Raises:
        UsageError: a text that says no fault.
    """
    return Faults(_parsed(specs), seed)


def _parsed(specs: Iterable[str]) -> Iterator[Fault]:
    for spec in (part.strip() for text in specs for part in text.split(",") if part.strip()):
        match = _SPEC.fullmatch(spec)
        kind = match["kind"] if match else ""
        if match is None or not (kind.isdigit() or kind in ANSWERS or kind in PAGES):
            raise UsageError(
                f"{spec!r} says no fault",
                where="--faults",
                fix=f"a status from 400 to 599, {', '.join((*ANSWERS, *PAGES))}; each with @3, @3-5, @3- or :0.02",
            )
        if match["odds"]:
            yield Fault(kind=kind, odds=float(match["odds"]))
        else:
            first = int(match["first"])
            last = first if match["range"] is None else int(match["last"]) if match["last"] else None
            yield Fault(kind=kind, first=first, last=last)
