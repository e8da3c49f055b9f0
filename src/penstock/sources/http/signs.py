"""What the answers of an endpoint have, or lack, of what its settings name: what looks like a mistake is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.jsonpath import Step, values_at

ABSENT: Any = object()
"""What stands where an answer has nothing, not even null."""

_DOUBTS = 3
_SHOWN_KEYS = 20


class Signs:
    """What was seen in one run, over all lists of an endpoint."""

    def __init__(self) -> None:
        self._present: set[str] = set()
        self._absent: dict[str, str] = {}
        self._notes: dict[str, str] = {}
        self._doubts = _DOUBTS

    def value(self, envelope: Any, path: Sequence[Step], setting: str, shown: str) -> Any:
        """What stands at a path that a setting names, ABSENT when there is nothing; whether, is kept in mind."""
        value = next(values_at(envelope, path), ABSENT)
        self.look(setting, f"nothing at {shown}; {beside(envelope, path)}", present=value is not ABSENT)
        return value

    def look(self, setting: str, lack: str, *, present: bool) -> None:
        """Keep in mind whether an answer has what a setting names; ``lack`` says what it is like when it has not."""
        if present:
            self._present.add(setting)
        else:
            self._absent.setdefault(setting, lack)

    def note(self, about: str, text: str) -> None:
        """Keep one sentence on a subject, the first one."""
        self._notes.setdefault(about, text)

    @property
    def trusted(self) -> bool:
        """Whether totals have shown that they count more than the records of their page."""
        return self._doubts <= 0

    def proven(self) -> None:
        """A total told of more than was on its page."""
        self._doubts = 0

    def confirmed(self) -> None:
        """Behind the end that a total tells, there was nothing."""
        self._doubts -= 1

    def warnings(self, where: str) -> list[str]:
        """What looks like a mistake, each in a sentence with its fix."""
        lacking = [
            f"{where}: {setting} finds {lack}; {_FIXES[setting]}"
            for setting, lack in self._absent.items()
            if setting not in self._present
        ]
        return [*lacking, *(f"{where}: {text}" for text in self._notes.values())]


def beside(envelope: Any, path: Sequence[Step]) -> str:
    """What there is where a path leads to nothing: the keys at the last place on it that exists."""
    here, way = envelope, "the answer"
    for step in path:
        if isinstance(here, dict) and isinstance(step, str) and step in here:
            here, way = here[step], step
        else:
            break
    if isinstance(here, dict):
        return f"{way} has {', '.join(list(here)[:_SHOWN_KEYS]) or 'no keys'}"
    return f"{way} is {'a list' if isinstance(here, list) else 'no object'}"


_FIXES = {
    "pagination.path": "so one page was read: mend path:, or set pagination: none if one page is all there is",
    "pagination.more": "so pages were read for as long as there was a cursor: mend more:, or leave it out",
    "pagination.total": "so pages were read until one was empty: mend total:, or leave it out",
    "pagination.total_header": "so pages were read until one was empty: mend total_header:, or leave it out",
    "pagination.pages": "so pages were read until one was empty: mend pages:, or leave it out",
}
