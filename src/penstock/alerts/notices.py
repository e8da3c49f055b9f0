"""What fails, and what is to be told of it: one message when it begins, one when it is well again.

Pure rules over frozen values; :mod:`penstock.alerts.notifier` keeps and sends. A problem is open from its first failure
until it counts as over:

    observe(failing)   it begins, or goes on
    observe(well)      it may be over
    due                told once it has failed often and long enough; reminded; told as over at once, but where it came
                       back within ``calm`` of its last recovery only when it has been well for as long

So a thing that goes up and down for hours is told as failing, as recovered, and as failing once more, and then no more
until it has been calm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from penstock.project import Notify

Event = Literal["failed", "reminded", "recovered"]
Key = tuple[str, str]

_MOMENTS = ("first_failed_at", "last_failed_at", "well_since", "recovered_at", "told_at", "delivered_at", "updated_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Something as it is now. ``since`` is when it began to fail, if that is known; ``run`` the run that failed;
    ``gone`` says that it is there no longer."""

    alert: str
    subject: str
    failing: bool
    what: str = ""
    where: str = ""
    fix: str = ""
    run: int | None = None
    since: datetime | None = None
    gone: bool = False

    @property
    def key(self) -> Key:
        """Which problem it is."""
        return self.alert, self.subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that fails, or failed, and what was told of it.

    ``failures`` are those in a row. ``well_since`` is None while it fails; ``recovered_at`` is None until it is over.
    ``again`` says that it came back soon after it was over, ``gone`` that it is over as what it is about is there no
    longer. ``told`` is the last message, ``delivered_at`` when that
    reached somebody, and ``trouble`` why it did not reach somebody else.
    """

    alert: str
    subject: str
    first_failed_at: datetime
    last_failed_at: datetime
    failures: int = 1
    well_since: datetime | None = None
    recovered_at: datetime | None = None
    again: bool = False
    gone: bool = False
    told: Event | None = None
    told_at: datetime | None = None
    delivered_at: datetime | None = None
    trouble: str = ""
    what: str = ""
    where: str = ""
    fix: str = ""
    run: int | None = None
    updated_at: datetime

    @property
    def key(self) -> Key:
        """Which problem it is."""
        return self.alert, self.subject

    @property
    def open(self) -> bool:
        """Whether it is not over."""
        return self.recovered_at is None

    @property
    def state(self) -> str:
        """``failing``, ``well`` while it has to stay so for a while, or ``over``."""
        return "over" if not self.open else "failing" if self.well_since is None else "well"

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in fields.items()}


def problem_of(fields: dict[str, Any]) -> Problem:
    """What :meth:`Problem.as_dict` gave. What another version wrote beside it is left out.

    Raises:
        ValueError, TypeError: it is none.
    """
    kept = {k: v for k, v in fields.items() if k in Problem.__slots__}
    moments = {k: datetime.fromisoformat(kept[k]) for k in _MOMENTS if kept.get(k) is not None}
    values: dict[str, Any] = {**kept, **moments}
    return Problem(**values)


def merged(one: Problem | None, other: Problem) -> Problem:
    """Two processes' words on a problem as one: the newer, and that the same message arrived."""
    if one is None:
        return other
    newer, older = (other, one) if one.updated_at <= other.updated_at else (one, other)
    same = newer.told_at == older.told_at
    return replace(newer, delivered_at=newer.delivered_at or older.delivered_at) if same else newer


def observe(problem: Problem | None, seen: Observation, now: datetime, rule: Notify) -> Problem | None:
    """The problem after something was looked at; None when there is none."""
    if not seen.failing:
        if problem is None or not problem.open:
            return problem
        if seen.gone and not problem.gone:
            what = "no longer expected" if problem.alert == "expectation_failed" else "no longer there"
            over: dict[str, Any] = {"gone": True, "again": False, "what": what, "where": "", "fix": ""}
            return replace(problem, **over, well_since=problem.well_since or now, updated_at=now)
        return problem if problem.well_since is not None else replace(problem, well_since=now, updated_at=now)
    about: dict[str, Any] = {"what": seen.what, "where": seen.where, "fix": seen.fix, "run": seen.run}
    if problem is not None and problem.open:
        row = problem.failures + 1 if problem.well_since is None else 1
        return replace(problem, **about, failures=row, last_failed_at=now, well_since=None, gone=False, updated_at=now)
    before = None if problem is None or problem.told != "recovered" else problem.recovered_at
    return Problem(
        alert=seen.alert,
        subject=seen.subject,
        first_failed_at=now if seen.since is None else min(seen.since, now),
        last_failed_at=now,
        again=before is not None and now - before <= rule.calm,
        updated_at=now,
        **about,
    )


def due(problem: Problem, now: datetime, rule: Notify) -> Event | None:
    """What is to be told of a problem now."""
    if not problem.open:
        return None
    if problem.well_since is not None:
        if problem.told is None:
            return None
        return "recovered" if not problem.again or now - problem.well_since >= rule.calm else None
    if problem.told is None:
        long = now - problem.first_failed_at >= rule.for_
        return "failed" if long and problem.failures >= rule.after else None
    assert problem.told_at is not None
    reminding = rule.remind_every > timedelta() and now - problem.told_at >= rule.remind_every
    return "reminded" if reminding else None


def told(problem: Problem, event: Event, now: datetime) -> Problem:
    """The problem once something is to be told; whether it reached anybody is still open."""
    over = now if event == "recovered" else problem.recovered_at
    return replace(problem, told=event, told_at=now, delivered_at=None, recovered_at=over, trouble="", updated_at=now)


def closed(problem: Problem, now: datetime, *, heard: bool = True) -> Problem:
    """The problem, over if it is well and nobody was ever told, or is to be told: ``heard`` is whether somebody is."""
    if problem.open and problem.well_since is not None and (problem.told is None or not heard):
        return replace(problem, recovered_at=now, updated_at=now)
    return problem
