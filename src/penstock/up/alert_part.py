"""Watches ``penstock up`` itself: what its parts, schedules, models and expectations say becomes alerts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from penstock.alerts.expectations import Verdict, judge
from penstock.alerts.notices import Key, Observation
from penstock.alerts.notifier import Notifier
from penstock.alerts.observing import ended, observed
from penstock.alerts.subjects import MODELS, files_of, queue_of, schedule_of, vanished, warehouse_of
from penstock.destinations import open_destination
from penstock.errors import PenstockError
from penstock.runs.consume import Consumer
from penstock.runs.watch import Watcher

if TYPE_CHECKING:
    from penstock.land.loop import Stop
    from penstock.ports import Destination
    from penstock.project import Project
    from penstock.up.clocked import Clocked
    from penstock.up.keeping import Part
    from penstock.up.trigger import Trigger

LOOK_SECONDS = 1.0
"""How often the parts are looked at."""
JUDGE_SECONDS = 60.0
"""How often expectations are judged; more often when one is of a short time."""
AWAY_SECONDS = 30.0
"""How long a broker may be away before that is a failure."""
STEADY_SECONDS = 60.0
"""A part that has run for so long is well."""
_DEATHS = 2
_UNANSWERED = 2


class Alerting:
    """Observes in the thread that calls :meth:`run`; :attr:`verdicts` may be read from any."""

    def __init__(
        self,
        project: Project,
        *,
        parts: Sequence[Part],
        schedules: Sequence[Clocked],
        trigger: Trigger | None,
        stop: Stop,
    ) -> None:
        self.verdicts: Sequence[Verdict] = ()
        """The expectations as they were judged last."""
        self._project = project
        self._parts = parts
        self._schedules = schedules
        self._trigger = trigger
        self._stop = stop
        self._begun = datetime.now(UTC)
        self._away_since: dict[str, float] = {}
        self._before: dict[Key, object] = {}
        self._unanswered = 0
        self._destination: Destination | None = None
        ages = [e.age.total_seconds() for s in project.streams.values() for e in s.expect if e.age is not None]
        self._judge_seconds = max(LOOK_SECONDS, min([JUDGE_SECONDS, *(age / 5 for age in ages)]))

    def run(self) -> None:
        """Observe and tell until stopped."""
        notifier = Notifier(self._project)
        notifier.start()
        notifier.see(vanished(self._project, notifier.open()))
        judged = -self._judge_seconds
        try:
            while True:
                seen = list(self._observed())
                if time.monotonic() - judged >= self._judge_seconds and not self._stop:
                    judged = time.monotonic()
                    seen += self._judged()
                notifier.see(seen)
                notifier.tick()
                if self._stop.wait(LOOK_SECONDS):
                    break
        finally:
            self._release()
            notifier.close()

    def figures(self) -> Mapping[tuple[str, ...], float]:
        """1 for each expectation that is as it should be, 0 for one that is not; none for what cannot be told yet."""
        known = [v for v in self.verdicts if v.state != "waiting"]
        return {(v.stream, v.expectation): float(v.state == "ok") for v in known}

    def _observed(self) -> Iterator[Observation]:
        """What the parts of the process say of themselves, where that has changed."""
        for part in self._parts:
            yield from self._part(part)
            if isinstance(part.job, Consumer):
                yield from self._queue(part, part.job)
                yield from self._landing(part.job)
            elif isinstance(part.job, Watcher):
                yield from self._files(part.job)
        for job in self._schedules:
            yield from self._schedule(job)
        trigger = self._trigger
        if trigger is not None and (trigger.last_error or trigger.upper_seq):
            error, times = trigger.last_error, trigger.failures
            fix = "mend what it names; penstock runs --failed lists the builds, and penstock runs show ID their errors"
            seen = ended("models_failed", MODELS, error, run=trigger.failed_run, fix=fix)
            yield from self._new(times if error else "", seen)

    def _part(self, part: Part) -> Iterator[Observation]:
        subject = f"part {part.name}"
        steady = part.state == "running" and (datetime.now(UTC) - part.since).total_seconds() > STEADY_SECONDS
        if steady:
            yield from self._new("", ended("part_failing", subject, None))
        elif part.state == "waiting" and part.deaths >= _DEATHS:
            yield from self._new(part.deaths, ended("part_failing", subject, part.last_error))

    def _queue(self, part: Part, consumer: Consumer) -> Iterator[Observation]:
        subject = queue_of(consumer.stream, consumer.source)
        if consumer.connected:
            self._away_since.pop(subject, None)
            yield from self._new("", ended("queue_unreachable", subject, None))
        elif part.state == "running" and consumer.trouble is None:
            since = self._away_since.setdefault(subject, time.monotonic())
            times = int((time.monotonic() - since) / AWAY_SECONDS)
            if times:
                fix = "start the broker, or mend its address or password: penstock doctor"
                error = consumer.last_error or "not connected"
                yield from self._new(times, ended("queue_unreachable", subject, error, fix=fix))

    def _landing(self, consumer: Consumer) -> Iterator[Observation]:
        """Of a warehouse that does not answer there is an alert of its own."""
        subject = queue_of(consumer.stream, consumer.source)
        error, key = consumer.trouble, f"landing {subject}"
        if error is None:
            self._away_since.pop(key, None)
            yield from self._new("", ended("landing_stopped", subject, None))
            return
        since = self._away_since.setdefault(key, time.monotonic())
        times = int((time.monotonic() - since) / AWAY_SECONDS)
        if consumer.state == "blocked" or (times and not self._unanswered):
            yield from self._new((times, consumer.waiting_for), ended("landing_stopped", subject, error))

    def _files(self, watcher: Watcher) -> Iterator[Observation]:
        subject = files_of(watcher.stream, watcher.source)
        failures = dict(watcher.failures)
        if not failures:
            yield from self._new("", ended("files_refused", subject, None))
            return
        path, error = next(iter(failures.items()))
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        first = ended("files_refused", subject, error)
        yield from self._new(tuple(failures), replace(first, what=f"{path.name}{more}: {first.what}"))

    def _schedule(self, job: Clocked) -> Iterator[Observation]:
        last = job.last
        if last is None or last.status == "stopped":
            return
        if last.error is not None and last.plan.occasion is not None and last.plan.occasion.manual:
            return  # whoever asked for a run is told by that
        yield from self._new(last.run_id, ended("schedule_failed", schedule_of(job.name), last.error, run=last.run_id))

    def _new(self, now: object, seen: Observation) -> Iterator[Observation]:
        """An observation, if it is another than before: of each time that something fails, there is one."""
        if self._before.get(seen.key, self) != now:
            self._before[seen.key] = now
            yield seen

    def _judged(self) -> list[Observation]:
        """What the warehouse says, and whether it says anything."""
        subject = warehouse_of(self._project)
        try:
            destination = self._opened()
            destination.query("select 1")
            self.verdicts = judge(self._project, destination.query, begun=self._begun)
        except PenstockError as e:
            self._release()
            self._unanswered += 1
            failed = ended("warehouse_unreachable", subject, e, fix="penstock doctor says what is in the way")
            return [failed] if self._unanswered >= _UNANSWERED else []
        self._unanswered = 0
        return [ended("warehouse_unreachable", subject, None), *observed(self.verdicts)]

    def _opened(self) -> Destination:
        if self._destination is None:
            self._destination = open_destination(self._project.destination)
        return self._destination

    def _release(self) -> None:
        if self._destination is not None:
            self._destination.close()
            self._destination = None
