"""What a warehouse's driver raises, sorted by the reaction it asks for.

    about rows          :class:`penstock.errors.RejectedRows`: find them, and put them into quarantine
    blocked             :class:`penstock.errors.LandingBlocked`: keep what came until somebody mends something
    away, all the rest  :class:`penstock.errors.DestinationError`: keep what came, wait, try again

Each engine says in one function of its own which of them an error is; :func:`sorting` has every verb of a destination
and of a landing go through it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, cast

from penstock.errors import DestinationError, LandingBlocked, PenstockError, RejectedRows

if TYPE_CHECKING:
    from penstock.ledger.sql_ledger import Executor
    from penstock.ports import Rows

Reaction = Literal["rows", "blocked", "away"]


class Sorts(Protocol):
    """Knows its driver's errors."""

    def refusal(self, error: Exception, *, rows: bool) -> PenstockError | None:
        """One of ours for an error of the driver's; None for any other. With ``rows`` it may be about rows."""
        ...


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=Sorts)


@contextmanager
def refusals(sorts: Sorts, *, rows: bool = False) -> Iterator[None]:
    """Raise errors of ours in here for those of the driver."""
    try:
        yield
    except PenstockError:
        raise
    except Exception as e:
        refusal = sorts.refusal(e, rows=rows)
        if refusal is None:
            raise
        raise refusal from None


def sorting(*, rows: bool = False) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """Have a verb raise errors of ours for those of the driver."""

    def decorate(verb: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
        @wraps(verb)
        def sorted_verb(self: S, *args: P.args, **options: P.kwargs) -> R:
            with refusals(self, rows=rows):
                return verb(self, *args, **options)

        return cast("Callable[Concatenate[S, P], R]", sorted_verb)

    return decorate


def refused(reaction: Reaction, what: str, *, where: str, fix: str = "") -> DestinationError:
    """The error of ours that asks for a reaction."""
    kinds: dict[Reaction, Any] = {"rows": RejectedRows, "blocked": LandingBlocked, "away": DestinationError}
    error: DestinationError = kinds[reaction](what, where=where, fix=fix)
    return error


class SortedExecutor:
    """Statements of the ledger outside of landings, with errors of ours for those of the driver."""

    def __init__(self, executor: Executor, sorts: Sorts) -> None:
        self._executor = executor
        self._sorts = sorts

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one statement; its rows."""
        with refusals(self._sorts):
            return self._executor.query(sql, parameters)

    def insert(self, table: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]], key: str) -> int:
        """Insert rows whose key is not there yet."""
        with refusals(self._sorts):
            return self._executor.insert(table, columns, rows, key)
