"""Every error Penstock raises on purpose, grouped by the reaction it asks for.

    PenstockError
    ├── UsageError            mend the call or the project file; nothing was done     (exit 2)
    │   └── ProjectError      the project file: names file, line and field
    ├── ContractError         the data broke what the stream promised; nothing landed (exit 3)
    ├── SourceError           a source cannot be read now; try again later            (exit 4)
    ├── RefusedMessages       the broker did not take these messages, which it told   (exit 1)
    ├── DeliveryError         a notification did not arrive; it may later            (exit 1)
    │   └── RefusedDelivery   it never will, as it is                                 (exit 1)
    ├── LockedError           another process holds what is needed; wait or stop it   (exit 5)
    ├── MetabaseError         Metabase is away, or refused a request                  (exit 1)
    └── DestinationError      the warehouse refused or is away                        (exit 1)
        ├── RejectedRows      it refused these rows, not the connection: bisect
        ├── LandingBlocked    nothing can land there until somebody mends something: keep what came, and tell
        └── TransformError    dbt failed

Each error says *what* went wrong, *where*, and *the fix*, and keeps the three as attributes. Text that may
hold a secret goes through :func:`redact` when the error is built, so no handler can forget it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_URL_PASSWORD = re.compile(r"(?P<head>[a-zA-Z][a-zA-Z0-9+.-]*://[^\s:/@]*:)\S+(?=@)")
_KEYWORD_PASSWORD = re.compile(
    r"(?P<head>\b(?:password|passwd|pwd|secret|token|api_?key)\b\s*[=:]\s*)(?:'[^']*'|\"[^\"]*\"|[^\s,;&}]+)",
    re.IGNORECASE,
)
MASK = "*****"
MAX_NAMED = 50
"""So many failures of one command are named; all of them are in what it prints as JSON, and in its log."""


def redact(text: str) -> str:
    """Return ``text`` with passwords in URLs and ``password=…`` pairs replaced by ``*****``."""
    text = _URL_PASSWORD.sub(rf"\g<head>{MASK}", text)
    return _KEYWORD_PASSWORD.sub(rf"\g<head>{MASK}", text)


class PenstockError(Exception):
    """Root of the tree.

    Args:
        what: one sentence on what went wrong.
        where: the file, line, stream, table or address it happened at; empty when there is none.
        fix: what the reader can do, with the command where one exists.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what = redact(what)
        self.where = redact(where)
        self.fix = redact(fix)
        super().__init__(str(self))

    def as_dict(self) -> dict[str, str]:
        """As plain data."""
        return {"what": self.what, "where": self.where, "fix": self.fix}

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.fix:
            parts.append(f"  fix: {self.fix}")
        return "\n".join(parts)


class UsageError(PenstockError):
    """The call itself is wrong: mend it; nothing was done."""

    exit_code = 2


class ProjectError(UsageError):
    """``penstock.yml`` or a setting that overrides it is wrong."""


class ContractError(PenstockError):
    """A stream with ``freeze`` met data outside its contract, its records lack what ``pii`` or ``drop`` names, or a
    data test failed."""

    exit_code = 3


class SourceError(PenstockError):
    """A source cannot be read; what was landed before stays landed."""

    exit_code = 4


class RefusedMessages(PenstockError):
    """The broker did not put these messages into a queue; it did so with all others that were sent."""


class LockedError(PenstockError):
    """Another process holds the warehouse; names the holder, and has it as ``pid``, where it is known."""

    exit_code = 5

    def __init__(self, what: str, *, where: str = "", fix: str = "", pid: int | None = None) -> None:
        self.pid = pid
        super().__init__(what, where=where, fix=fix)


class MetabaseError(PenstockError):
    """Metabase is away, or refused a request. ``status`` is that of its answer, 0 when there was none."""

    def __init__(self, what: str, *, where: str = "", fix: str = "", status: int = 0) -> None:
        self.status = status
        super().__init__(what, where=where, fix=fix)


class DestinationError(PenstockError):
    """The warehouse is away or refused a statement; the open transaction was rolled back."""


class RejectedRows(DestinationError):
    """The warehouse refused rows for what they hold; a smaller batch may pass."""


class LandingBlocked(DestinationError):
    """What a stream lands in was changed by hand, or may not be written to: waiting alone does not help."""


class TransformError(DestinationError):
    """dbt could not build; what was landed stays landed."""


class DeliveryError(PenstockError):
    """A notification did not reach its channel; later it may. ``after_seconds`` is what the channel asked to wait."""

    after_seconds: float = 0.0


class RefusedDelivery(DeliveryError):
    """The channel will not take the notification later either."""


def together(errors: Sequence[PenstockError]) -> PenstockError:
    """Errors of things that failed beside each other as one that names each with its fix; a single one as it is.

    It is of the class, and has the exit code, of the first that does not pass by itself: a :class:`SourceError` only
    when all are.
    """
    apart = list({str(e): e for e in errors}.values())
    if len(apart) == 1:
        return apart[0]
    worst = next((e for e in apart if not isinstance(e, SourceError)), apart[0])
    fixes = list(dict.fromkeys(e.fix for e in apart if e.fix))
    lines = [f"{len(apart)} failures"]
    for e in apart[:MAX_NAMED]:
        lines.append(f"  - {e.where}: {e.what}" if e.where else f"  - {e.what}")
        lines += [f"    fix: {e.fix}"] if e.fix and len(fixes) > 1 else []
    if len(apart) > MAX_NAMED:
        lines.append(f"  and {len(apart) - MAX_NAMED:,} more")
    return type(worst)("\n".join(lines), fix=fixes[0] if len(fixes) == 1 else "each as it says" if fixes else "")
