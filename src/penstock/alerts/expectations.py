"""Whether streams are as their ``expect:`` says: judged by the ledger, with a few small queries for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from penstock.errors import UsageError
from penstock.plural import count
from penstock.project.nearest import nearest
from penstock.sources.kinds import kind_of
from penstock.spans import span_text
from penstock.sql import identifier, literal, statement

if TYPE_CHECKING:
    from penstock.ports import Rows
    from penstock.project import Expectation, Project

Query = Callable[[str], "Rows"]

_PERIODS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
_CLOCKS_DIFFER = timedelta(days=1)
"""So far ahead a record's time may be and count as now: clocks differ, and a time without a zone may be a local one."""
_TIMES = ("timestamp", "timestamptz", "date")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One expectation, and how it is. ``state`` is ``waiting`` while it cannot be told yet; ``since`` is when it began
    to fail, or was first seen to, where that is known."""

    stream: str
    expectation: str
    severity: Literal["error", "warn"]
    state: Literal["ok", "failed", "waiting"]
    seen: str
    since: datetime | None = None
    fix: str = ""

    @property
    def subject(self) -> str:
        """What an alert about it is about."""
        return f"stream {self.stream}: {self.expectation}"

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "stream": self.stream,
            "expectation": self.expectation,
            "state": self.state,
            "severity": self.severity,
            "seen": self.seen,
            "since": self.since,
            "fix": self.fix or None,
        }


def judge(
    project: Project,
    query: Query | None,
    *,
    streams: Sequence[str] = (),
    now: datetime | None = None,
    begun: datetime | None = None,
) -> list[Verdict]:
    """Each expectation of these streams, or of all.

    Args:
        query: asks the warehouse; None when nothing was ever landed in it.
        begun: when somebody began to watch. A stream that never landed is given the time that it may take from then on;
            without it, it fails.

    Raises:
        UsageError: there is no such stream.
        DestinationError: the warehouse is away.
    """
    for name in streams:
        if name not in project.streams:
            near = nearest(name, project.streams)
            there = f"there are {', '.join(project.streams)}"
            raise UsageError(f"there is no stream {name!r}", fix=f"did you mean {near!r}?" if near else there)
    at = datetime.now(UTC) if now is None else now
    verdicts = [
        _Judge(project, query, name, at, begun).verdict(expectation)
        for name in streams or project.streams
        for expectation in project.streams[name].expect
    ]
    if query is None or all(v.since is not None for v in verdicts if v.state == "failed"):
        return verdicts
    # of numbers it cannot be since when they began to be wrong: who told of it has taken that down
    since = {row[0]: row[1] for row in query(statement("penstock.alerts", "open_since.sql")).rows}
    return [replace(v, since=since.get(v.subject)) if v.state == "failed" and v.since is None else v for v in verdicts]


def span_in_words(span: timedelta) -> str:
    """A time in its two largest units: ``3d4h``, ``12m5s``."""
    seconds = max(0, int(span.total_seconds()))
    for size, below in ((86_400, 3_600), (3_600, 60)):
        if seconds >= size:
            return span_text(timedelta(seconds=seconds - seconds % below))
    return span_text(timedelta(seconds=seconds))


class _Judge:
    """Judges one stream at one moment."""

    def __init__(
        self, project: Project, query: Query | None, stream: str, now: datetime, begun: datetime | None
    ) -> None:
        self._project = project
        self._query = query
        self._stream = stream
        self._settings = project.streams[stream]
        self._now = now
        self._begun = begun

    def verdict(self, expectation: Expectation) -> Verdict:
        state, seen, since, fix = self._judged(expectation)
        return Verdict(
            stream=self._stream,
            expectation=expectation.words,
            severity=expectation.severity,
            state=state,
            seen=seen,
            since=since,
            fix=fix if state == "failed" else "",
        )

    def _judged(self, expectation: Expectation) -> tuple[Any, str, datetime | None, str]:
        if expectation.fresh_within is not None:
            return self._age(self._one("last_load"), expectation.fresh_within, "last landed", "nothing has landed yet")
        if expectation.checked_within is not None:
            last_check = self._one("last_check")
            return self._age(last_check, expectation.checked_within, "last asked", "the source was never asked")
        if expectation.event_time_within is not None:
            return self._event_time(expectation.event_time_within)
        return self._rows(expectation) if expectation.rows is not None else self._quarantined(expectation)

    def _age(self, at: datetime | None, most: timedelta, what: str, never: str) -> tuple[Any, str, Any, str]:
        if at is None:
            if self._begun is not None and self._now - self._begun <= most:
                return "waiting", never, None, ""
            return "failed", never, None, self._load_fix()
        age = self._now - at
        seen = f"{what} {span_in_words(age)} ago, {_moment(at)}"
        return ("failed" if age > most else "ok"), seen, at + most if age > most else None, self._load_fix()

    def _event_time(self, most: timedelta) -> tuple[Any, str, Any, str]:
        assert self._settings.event_time is not None
        field = self._settings.field(self._settings.event_time)
        column = self._ask("time_column", field=literal(field))
        if not column:
            return self._age(None, most, "", "nothing has landed yet")
        name, type_ = column[0]
        if type_ not in _TIMES:
            fix = f"declare it: columns: {{{self._settings.event_time}: timestamp}}"
            return "failed", f"{field} is {type_} in the table, which is no time", None, fix
        start = self._now - most
        load = self._one("oldest_load_since", start=_timestamp(start))
        latest, ahead = None, 0
        if load is not None:
            parts = {"column": identifier(name), "table": identifier(self._stream), "load": str(int(load))}
            row = self._ask("latest_event", **parts, now=_timestamp(self._now + _CLOCKS_DIFFER))[0]
            latest, ahead = _aware(row[0]), int(row[1])
        if latest is None and ahead:
            fix = f"look at them: penstock query 'select * from raw.{self._stream} order by {name} desc limit 10'"
            return "failed", f"all that landed, {ahead:,}, is to happen in the future", None, fix
        if latest is None:
            return "failed", f"no record has landed for {span_in_words(most)}", None, self._load_fix()
        return self._age(latest, most, "the latest happened", "")

    def _rows(self, expectation: Expectation) -> tuple[Any, str, Any, str]:
        settings = expectation.rows
        assert settings is not None
        if settings.within is not None:
            start, end = self._now - settings.within, self._now
            when = f"in the last {span_text(settings.within)}"
        else:
            assert settings.per is not None
            start, end = last_period(settings.per, self._now)
            when = f"in the {settings.per} from {_moment(start)}"
        landed = self._counts(start, end)[0]
        seen = f"{landed:,} row{'' if landed == 1 else 's'} {when}"
        if settings.at_most is not None and landed > settings.at_most:
            fix = f"look at what came: penstock status, penstock query 'select * from raw.{self._stream} limit 10'"
            return "failed", seen, None, fix
        if settings.at_least is not None and landed < settings.at_least:
            first = self._one("first_load")
            if first is None and self._begun is None:
                return "failed", "nothing has landed yet", None, self._load_fix()
            if first is None or first > start:
                return "waiting", f"{seen}, which the stream has not seen whole", None, ""
            return "failed", seen, None, self._load_fix()
        return "ok", seen, None, ""

    def _quarantined(self, expectation: Expectation) -> tuple[Any, str, Any, str]:
        settings = expectation.quarantined
        assert settings is not None
        start = self._now - settings.within
        _, read, sent = self._counts(start, self._now + timedelta(days=1))
        most = settings.share * read if settings.share is not None else float(settings.at_most)
        if sent > most:  # only then does it matter how many of them are still there
            sent = min(sent, int(self._one("waiting", start=_timestamp(start)) or 0))
        share = f", {100 * sent / read:.3g}%" if read else ""
        seen = f"{sent:,} of {count(read, 'record')} wait{share}, of the last {span_text(settings.within)}"
        name = self._stream
        fix = f"penstock quarantine list --stream {name}; mend why; penstock quarantine replay --stream {name}"
        return ("failed" if sent > most else "ok"), seen, None, fix

    def _load_fix(self) -> str:
        """What works beside ``penstock up``, which may have the warehouse to itself."""
        name = self._stream
        sources = [self._project.sources[s] for s in self._settings.from_]
        if not any(source.ends for source in sources):
            return (
                "penstock doctor looks at the queue; penstock up lands what waits, and without it "
                f"penstock consume {name} --until-empty"
            )
        own = self._settings.schedule
        scheduled = bool(own) or (own is None and self._project.schedule is not None)
        if scheduled or any(source.ends and kind_of(source).watched(source) is None for source in sources):
            return f"penstock run --now {name}; penstock doctor asks its sources"
        return f"penstock doctor asks its sources; penstock up lands what is new, and without it penstock load {name}"

    def _counts(self, start: datetime, end: datetime) -> tuple[int, int, int]:
        rows = self._ask("counts", start=_timestamp(start), end=_timestamp(end))
        return (int(rows[0][0]), int(rows[0][1]), int(rows[0][2])) if rows else (0, 0, 0)

    def _one(self, name: str, **parts: str) -> Any:
        rows = self._ask(name, **parts)
        return rows[0][0] if rows else None

    def _ask(self, name: str, **parts: str) -> Sequence[Sequence[Any]]:
        if self._query is None:
            return ()
        sql = statement("penstock.alerts", f"{name}.sql", stream=literal(self._stream), **parts)
        return self._query(sql).rows


def last_period(per: str, now: datetime) -> tuple[datetime, datetime]:
    """Start and end of the last whole hour, day or week, from Monday, of UTC."""
    now = now.astimezone(UTC)
    end = now.replace(minute=0, second=0, microsecond=0)
    if per != "hour":
        end = end.replace(hour=0)
    if per == "week":
        end -= timedelta(days=end.weekday())
    return end - _PERIODS[per], end


def _aware(value: Any) -> datetime | None:
    """A time without a zone is of UTC; of a day, its end counts."""
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC) + timedelta(days=1)
    return None


def _timestamp(moment: datetime) -> str:
    return f"cast({literal(moment.astimezone(UTC).isoformat())} as timestamp with time zone)"


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
