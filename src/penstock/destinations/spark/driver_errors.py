"""What the errors of PyIceberg, of stores and of the ledger's driver ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.destinations.postgres import driver_errors as postgres
from penstock.destinations.refusals import refused

if TYPE_CHECKING:
    from penstock.errors import DestinationError

_BLOCKED = {
    "NoSuchTableError": "put the table back, as it was",
    "NoSuchNamespaceError": "penstock doctor",
    "ForbiddenError": "have the catalog's owner grant the right",
    "UnauthorizedError": "mend the catalog's credentials",
    "OAuthError": "mend the catalog's credentials",
}


def refusal(error: Exception, where: str, *, rows: bool) -> DestinationError | None:
    """The error of ours for one of a driver's, None for any other."""
    origin: Any = getattr(error, "orig", None)  # SQLAlchemy has the driver's error in its own
    if isinstance(origin, Exception):
        error = origin
    if type(error).__module__.startswith("pyiceberg"):
        name = type(error).__name__
        what = f"{name}: {str(error).strip().partition(chr(10))[0]}"
        return refused("blocked" if name in _BLOCKED else "away", what, where=where, fix=_BLOCKED.get(name, ""))
    return postgres.refusal(error, where, rows=rows)
