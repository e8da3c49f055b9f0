"""Which pages of a list have been: a page that comes again, and pages that go in circles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from penstock.errors import SourceError

if TYPE_CHECKING:
    from penstock.sources.http.pages import Answer, Step

_REPEATED = 3
"""Pages with records that came before, one after the other, that make a circle."""
HOW_TO_END = (
    "check pagination: the API may not know its parameter; or, where it answers the last page again beyond the end, set"
    " end_repeats: true, or say with pages:, total: or last: where that is"
)
"""What to do about pages that go in circles."""


class Circle(SourceError):
    """The pages of a list go in circles: there is no end to it."""


class Seen:
    """Which pages of a walk have been. ``after`` is the page before the first one, in short."""

    def __init__(self, after: str | None = None) -> None:
        self._states: set[bytes] = set()
        self._contents: set[bytes] = set() if after is None else {bytes.fromhex(after)}
        self._last = after
        self._row = 0
        """Repeated pages one after the other."""

    def kept(self) -> dict[str, str]:
        """What positions keep, so that the next load knows the last page with records of its own again."""
        return {} if self._last is None else {"after": self._last}

    def before(self, answer: Answer) -> bool:
        """Whether a page with the same records has been."""
        return len(answer) > 0 and answer.digest in self._contents

    def leads_back(self, following: Step | None) -> bool:
        """Whether the next page is one that has been."""
        return following is not None and _digest(following.state) in self._states

    def circle(self, answer: Answer, following: Step | None) -> str:
        """Why there is no end to it; empty when there may be. A page may come twice, and pages of one record often."""
        if following is None:
            return ""
        if self.leads_back(following):
            return f"the {'link' if following.link else 'cursor'} to the next page was given before"
        most = _REPEATED if len(answer) > 1 else 50 * _REPEATED
        if self._row + 1 >= most and self.before(answer):
            return f"{most} pages one after the other have records that came before"
        return ""

    def add(self, answer: Answer, following: Step | None) -> None:
        """Keep a page in mind."""
        before = self.before(answer)
        self._row = self._row + 1 if before else 0
        if len(answer) and not before:
            self._last = answer.digest.hex()
        if following is not None:
            self._states.add(_digest(following.state))
        if len(answer):
            self._contents.add(answer.digest)


def _digest(state: Mapping[str, Any]) -> bytes:
    return hashlib.blake2b(json.dumps(state, sort_keys=True).encode(), digest_size=16).digest()
