"""When a schedule is due: computed from the schedule, what was done last, and the time of now. Nothing here waits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cronsim import CronSim

from penstock.project.schedule import NICKNAMES

if TYPE_CHECKING:
    from penstock.project import Clock

MOST_MISSED = 1_000
"""Missed runs that are caught up at most."""
LATE = timedelta(seconds=5)
"""A run that could not start within so long after it was due counts as missed."""
_FIRST_LOOK = timedelta(days=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is to be done: runs for these moments, oldest first; after them, or when there are none, wait for ``next``.
    Moments up to ``done`` need no run any more."""

    runs: tuple[datetime, ...]
    next: datetime
    done: datetime | None


def after(schedule: Clock, moment: datetime) -> Iterator[datetime]:
    """The moments after one at which the schedule is due, in UTC.

    Cron goes by its zone's clock as Debian's cron does: what falls into the gap of spring comes right after it, what
    comes twice in autumn comes the first time; ``*`` in minutes or hours goes by time that really passes.
    """
    if schedule.every is not None:
        while True:
            moment = moment + schedule.every
            yield moment
    zone = ZoneInfo(schedule.timezone)
    assert schedule.cron is not None
    fields = NICKNAMES.get(schedule.cron, schedule.cron)
    last = moment
    for local in CronSim(fields, moment.astimezone(zone)):
        due = local.astimezone(UTC)
        # of a clock that was put back, cron begins again with the hour that it shows twice
        if due > last:
            last = due
            yield due


def due(schedule: Clock, last: datetime | None, now: datetime) -> Due:
    """What is due now.

    Args:
        last: the moment up to which all is done; None for a schedule that is new: cron then waits for its next moment,
            and ``every`` is due at once.
    """
    if last is None:
        if schedule.every is not None:
            return Due(runs=(now,), next=now + schedule.every, done=None)
        return Due(runs=(), next=next(after(schedule, now)), done=now)
    # the clock may have been put back; that two of them differ a little makes nothing due again
    last = min(last, now + LATE)
    missed, following = _between(schedule, last, now)
    if not missed:
        return Due(runs=(), next=following, done=last)
    if schedule.missed == "skip" and now - missed[-1] > LATE:
        return Due(runs=(), next=following, done=missed[-1])
    return Due(runs=tuple(missed) if schedule.missed == "all" else (missed[-1],), next=following, done=last)


def _between(schedule: Clock, last: datetime, now: datetime) -> tuple[list[datetime], datetime]:
    """The moments after ``last`` up to ``now``, the last :data:`MOST_MISSED` of them, and the one after."""
    if schedule.every is not None:
        since = int((now - last) / schedule.every)
        moments = after(schedule, last + schedule.every * max(0, since - MOST_MISSED))
        return _split(moments, now)
    back = _FIRST_LOOK
    while True:
        # cron has no memory: looking back a little is enough when it came often
        start = max(last, now - back)
        missed, following = _split(after(schedule, start), now)
        if start == last or len(missed) >= MOST_MISSED:
            return missed[-MOST_MISSED:], following
        back *= 8


def _split(moments: Iterator[datetime], now: datetime) -> tuple[list[datetime], datetime]:
    """The moments up to now, and the first one after it."""
    past: list[datetime] = []
    for moment in moments:
        if moment > now:
            return past, moment
        past.append(moment)
    raise AssertionError("a schedule has no end")
