"""The two ends of a copy: what an engine is asked for, beside what :class:`penstock.ports.Destination` has.

A kind of destination has its end in :mod:`penstock.copying.engines`, under its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from penstock.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from penstock.copying.parts import Part, RawPart
    from penstock.ports import Destination


class Tables(Protocol):
    """Tables, read in bulk."""

    def read(self, part: Part, condition: str = "", order: str = "") -> Iterator[pa.Table]:
        """The rows as plain Arrow, some thousand at a time. Nothing else may be asked of these tables meanwhile."""
        ...


class RawTables(Tables, Protocol):
    """Raw tables, which grow by batches of rows."""

    def make(self, part: RawPart) -> None:
        """Make one, empty, as a landing would."""
        ...

    def append(self, part: RawPart, rows: pa.Table) -> None:
        """Have one hold these plain rows too: all of them, or after an error none.

        Raises ``RejectedRows`` when the engine refuses what they hold.
        """
        ...


class LedgerTables(Tables, Protocol):
    """The ledger's tables, each of which is filled at once."""

    def refill(self, part: Part, batches: Iterable[pa.Table]) -> None:
        """Have one hold these plain rows and no others, or after an error what it held."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A destination, and where its raw tables and its ledger's are."""

    destination: Destination
    raw: RawTables
    ledger: LedgerTables
    source: bool
    """Whether it can be copied from."""


def end_of(destination: Destination) -> End:
    """The end of a destination.

    Raises:
        UsageError: nothing can be copied from or to one of its kind.
    """
    name = f"penstock.copying.engines.{destination.kind}"
    if find_spec(name) is None:
        raise UsageError(
            f"not yet: a copy from or to a destination of type {destination.kind}",
            fix="load it from its sources, or from the lake: penstock load --from-lake DIR",
        )
    end: End = import_module(name).end(destination)
    return end
