"""A page of a list, as it is asked for and as it is answered, and what knows the pages of a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from penstock.ports import Reject
    from penstock.records.splitters import Cut

State = Mapping[str, Any]


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
    """What a page said: its records, and what is around them. ``rejects`` count as records, but cannot be cut.

    ``digest`` has the records in short: pages that differ in any of them are different.
    """

    cuts: Sequence[Cut]
    rejects: Sequence[Reject]
    envelope: Any
    headers: Mapping[str, str]
    url: str
    size_bytes: int
    digest: bytes = b""

    def __len__(self) -> int:
        return sum(len(c.bodies) for c in self.cuts) + len(self.rejects)

    @property
    def last(self) -> bytes | None:
        """The last record."""
        last: bytes | None = next((c.bodies[-1].as_py() for c in reversed(self.cuts) if len(c.bodies)), None)
        return last


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
