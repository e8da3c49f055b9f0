"""What was judged or done, as observations for :mod:`penstock.alerts.notices`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from penstock.alerts.notices import Observation
from penstock.engine_errors import error_text
from penstock.errors import PenstockError

if TYPE_CHECKING:
    from penstock.alerts.expectations import Verdict


def observed(verdicts: Iterable[Verdict]) -> list[Observation]:
    """Expectations that can be told, but for those that only warn."""
    return [
        Observation(
            alert="expectation_failed",
            subject=verdict.subject,
            failing=verdict.state == "failed",
            what=verdict.seen,
            fix=verdict.fix,
            since=verdict.since,
        )
        for verdict in verdicts
        if verdict.severity == "error" and verdict.state != "waiting"
    ]


def ended(
    alert: str, subject: str, error: BaseException | str | None, *, run: int | None = None, fix: str = ""
) -> Observation:
    """Something that ended well, without an error, or not."""
    if error is None or error == "":
        return Observation(alert=alert, subject=subject, failing=False)
    what, where, mend = error_parts(error)
    return Observation(alert=alert, subject=subject, failing=True, what=what, where=where, fix=mend or fix, run=run)


def command_subject(kind: str, streams: Sequence[str]) -> str:
    """How a command is named: by what it does to which streams."""
    return " ".join(["penstock", kind, *sorted(streams)])


def error_parts(error: BaseException | str) -> tuple[str, str, str]:
    """What, where and fix of an error, or of its text."""
    if isinstance(error, PenstockError):
        return error.what, error.where, error.fix
    if isinstance(error, BaseException):
        return error_text(error), "", ""
    what, _, fix = error.partition("\n  fix: ")
    return what, "", fix
