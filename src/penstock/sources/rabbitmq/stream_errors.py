"""What goes wrong with the stream protocol: what it means, and what mends it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from penstock.errors import SourceError

if TYPE_CHECKING:
    from penstock.project import RabbitMQ

OK = 1
NOT_THERE, UNAVAILABLE = 2, 6
CODES = {
    NOT_THERE: "there is no such stream",
    UNAVAILABLE: "the stream is not available",
    7: "it does not take passwords",
    8: "wrong user or password",
    9: "wrong user or password",
    11: "this user may connect from the broker's own machine alone",
    12: "no access to the vhost",
    16: "no permission to read the stream",
    17: "a precondition failed",
}
"""What the broker's answers mean, but for :data:`OK`."""
_FIXES = {
    NOT_THERE: "make it, or let declare: true make it",
    7: "let the broker take the SASL mechanism PLAIN",
    8: "mend user: and password:",
    9: "mend user: and password:",
    11: "mend user: and password:",
    12: "mend vhost:, or make it: rabbitmqctl add_vhost; or grant the permissions: rabbitmqctl set_permissions",
    16: "grant the permissions: rabbitmqctl set_permissions",
    17: "see RabbitMQ's log",
}


class Lost(Exception):
    """The connection is of no more use."""


class Refused(Exception):
    """The broker answered a request with another code than OK."""

    def __init__(self, code: int, request: str) -> None:
        super().__init__(f"{request}: {CODES.get(code, f'code {code}')}")
        self.code = code

    @property
    def permanent(self) -> bool:
        """Whether trying again is of no use until somebody mends something."""
        return self.code in _FIXES


def stream_error(e: BaseException, settings: RabbitMQ) -> SourceError:
    """What a failure means, where, and what to do about it."""
    if isinstance(e, SourceError):
        return e
    where = f"rabbitmq-stream{'' if settings.tls is None else '+tls'}://{settings.host}:{settings.stream_port}/"
    where += "" if settings.vhost == "/" else settings.vhost
    if isinstance(e, Refused):
        return SourceError(f"RabbitMQ refused: {e}", where=where, fix=_FIXES.get(e.code, "see RabbitMQ's log"))
    if isinstance(e, ssl.SSLError):
        return SourceError(
            f"TLS failed: {e.reason or e}", where=where, fix="mend tls:, its ca and certificate, and stream_port:"
        )
    if isinstance(e, Lost | OSError):
        return SourceError(
            f"RabbitMQ is away: {e}",
            where=where,
            fix="start it, enable its plugin rabbitmq_stream, or mend host: and stream_port:",
        )
    return SourceError(f"receiving broke: {e or type(e).__name__}", where=where, fix="see RabbitMQ's log")


def is_lasting(e: BaseException) -> bool:
    """Whether trying again is of no use until somebody mends something."""
    return isinstance(e, SourceError | ssl.SSLError) or (isinstance(e, Refused) and e.permanent)
