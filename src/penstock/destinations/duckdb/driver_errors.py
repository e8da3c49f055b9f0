"""What DuckDB's errors ask for."""

from __future__ import annotations

import duckdb

from penstock.destinations.refusals import Reaction, refused
from penstock.engine_errors import error_text
from penstock.errors import DestinationError

_OF_ROWS = (duckdb.ConstraintException, duckdb.ConversionException, duckdb.OutOfRangeException)
_LASTING = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.DependencyException,
    duckdb.NotImplementedException,
    duckdb.ParserException,
    duckdb.PermissionException,
    duckdb.SyntaxException,
    duckdb.TypeMismatchException,
)
"""What the same statement says each time, until a table is mended."""


def refusal(error: duckdb.Error, where: str, *, rows: bool) -> DestinationError:
    """The error of ours for one of DuckDB's; with ``rows`` it may be about the rows that were to be written."""
    what = error_text(error).split("\n")[0]
    if rows and isinstance(error, duckdb.OutOfMemoryException):
        fix = "give the destination a memory_limit that is larger, or set a smaller batch_bytes under load:"
    elif "No space left on device" in str(error):
        fix = f"make room on the disk of {where}"
    elif is_broken(error):
        fix = "the file is opened anew by itself; make room on its disk if that is full"
    elif isinstance(error, _LASTING):
        fix = "put back what it names, as it was"
    else:
        fix = ""
    return refused(_reaction(error, rows=rows), what, where=where, fix=fix)


def is_broken(error: BaseException) -> bool:
    """Whether the open database can be used no longer, by none of its connections, until it is opened anew."""
    return isinstance(error, duckdb.FatalException | duckdb.InternalException) or "has been invalidated" in str(error)


def _reaction(error: duckdb.Error, *, rows: bool) -> Reaction:
    if rows and isinstance(error, _OF_ROWS):
        return "rows"
    # the same rows need the same memory the next time
    lasting = isinstance(error, _LASTING) or (rows and isinstance(error, duckdb.OutOfMemoryException))
    return "blocked" if lasting and not is_broken(error) else "away"
