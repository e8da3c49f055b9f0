"""Remembers what fails, and tells it: in ``penstock up`` for as long as it runs, in other commands once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from penstock.alerts.delivery import COMMAND_PATIENCE_SECONDS, Outbox, Outcome, deliver_now, wants
from penstock.alerts.notices import Event, Key, Observation, Problem, closed, due, merged, observe, told
from penstock.alerts.store import Store
from penstock.alerts.wording import Message, guarded
from penstock.logs import described, get_log

if TYPE_CHECKING:
    from penstock.project import Project

_log = get_log("alerts")

CLOSE_SECONDS = 3.0
"""How long an end waits for a message that is under way. One that did not arrive is sent at the next start."""
_FRESH = timedelta(days=1)
"""A message that did not arrive is sent by a later process if it is no older than this."""
_UNDER_WAY = timedelta(minutes=1)
"""A younger one may be under way in another process."""


class Notifier:
    """The problems of a project, from any thread.

    :meth:`see` takes note of what is observed, :meth:`tick` sends what is due, and :meth:`tell` does it once and waits.
    What other processes have told is not told again: before anything is decided, the ledger is read, by one process at
    a time.

    Args:
        now: the clock.
    """

    def __init__(
        self,
        project: Project,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._project = project
        self._rule = project.notify
        self._now = now
        self._lock = threading.RLock()
        self._store = Store(project)
        self._problems: dict[Key, Problem] = self._store.read()
        self._seen: list[Observation] = []
        self._changed: set[Key] = set()
        self._outbox: Outbox | None = None
        self._due_since: datetime | None = None
        self._said: set[tuple[str, str]] = set()

    def open(self) -> list[Problem]:
        """What is not over, the oldest first."""
        with self._lock:
            return sorted((p for p in self._problems.values() if p.open), key=lambda p: (p.first_failed_at, p.key))

    def see(self, observations: Iterable[Observation]) -> None:
        """Take note of how things are now, for the next :meth:`tick`."""
        with self._lock:
            self._seen += [self._guarded(seen) for seen in observations]

    def start(self) -> None:
        """Open the channels, and send what an earlier process could not."""
        with self._lock:
            self._store.forget()
            self._outbox = Outbox(self._rule.channels, self._went)
            left = self._undelivered(timedelta())
            if left:
                self._outbox.put(self._message(left, self._now()))

    def tick(self) -> None:
        """Send what is due, once that has waited for more to come; and write down what has changed."""
        with self._lock:
            problems = self._decided("settled")
            if problems and self._outbox is not None:
                self._outbox.put(self._message(problems, self._now()))

    def tell(self) -> list[Outcome]:
        """Send what is due at once, and what an earlier process could not, and wait; returns how it went on each
        channel."""
        with self._lock:
            fresh = self._decided("now")
            keys = {problem.key for problem in fresh}
            problems = [*(p for p in self._undelivered(_UNDER_WAY) if p.key not in keys), *fresh]
        outcomes: list[Outcome] = []
        if problems:
            message = self._message(problems, self._now())
            outcomes = deliver_now(self._rule.channels, message, COMMAND_PATIENCE_SECONDS)
            for outcome in outcomes:
                self._went(outcome)
        self.close()
        return outcomes

    def close(self) -> None:
        """Write down what has changed, and end."""
        if self._outbox is not None:
            self._outbox.close(CLOSE_SECONDS)
        with self._lock:
            self._decided("never")
            self._store.release()

    def _decided(self, when: Literal["now", "settled", "never"]) -> list[Problem]:
        """Take in what was seen, and write down what has changed; what is to be told now, marked as told."""
        now = self._now()
        events = self._events(now)
        self._due_since = (self._due_since or now) if events else None
        settled = self._due_since is not None and now - self._due_since >= self._rule.settle
        ripe = when == "now" or (when == "settled" and settled)
        closing = any(self._closed(p, now) != p for p in self._problems.values())
        if not (self._seen or self._changed or closing or (ripe and events)):
            return []
        with self._store.alone():
            for problem in self._store.in_ledger():
                self._problems[problem.key] = merged(self._problems.get(problem.key), problem)
            for seen in self._seen:
                after = observe(self._problems.get(seen.key), seen, now, self._rule)
                if after is not None and after != self._problems.get(seen.key):
                    self._keep(after)
            self._seen.clear()
            for problem in list(self._problems.values()):
                over = self._closed(problem, now)
                if over != problem:
                    self._keep(over)
            events = self._events(now) if ripe else {}
            for key, event in events.items():
                self._keep(told(self._problems[key], event, now))
            if events:
                self._due_since = None
            self._write()
        self._store.release()
        return [self._problems[key] for key in events]

    def _events(self, now: datetime) -> dict[Key, Event]:
        """What of which problem is to be told to somebody."""
        heard = filter(self._heard, self._problems.values())
        events = {problem.key: due(problem, now, self._rule) for problem in heard}
        return {key: event for key, event in events.items() if event is not None}

    def _heard(self, problem: Problem) -> bool:
        return any(wants(channel, problem) for channel in self._rule.channels)

    def _closed(self, problem: Problem, now: datetime) -> Problem:
        return closed(problem, now, heard=self._heard(problem))

    def _message(self, problems: Sequence[Problem], now: datetime) -> Message:
        ordered = sorted(problems, key=lambda p: (p.told == "recovered", p.first_failed_at, p.key))
        return Message(project=self._project.name, target=self._project.target, problems=ordered, sent_at=now)

    def _undelivered(self, least: timedelta) -> list[Problem]:
        """What was to be told by a process that ended before it was."""
        now = self._now()
        return [
            problem
            for problem in self._problems.values()
            if problem.told_at is not None and problem.delivered_at is None and least <= now - problem.told_at <= _FRESH
        ]

    def _went(self, outcome: Outcome) -> None:
        """Take down how it went with a message."""
        trouble = "" if outcome.error is None else f"{outcome.channel}: {outcome.error.what}"
        with self._lock:
            now = self._now()
            for sent in outcome.message.problems:
                problem = self._problems.get(sent.key)
                if problem is None or problem.told_at != sent.told_at:
                    continue
                if outcome.error is None:
                    about = "" if problem.trouble.startswith(f"{outcome.channel}: ") else problem.trouble
                    self._keep(replace(problem, delivered_at=problem.delivered_at or now, trouble=about))
                elif problem.trouble != trouble:
                    self._keep(replace(problem, trouble=trouble))
            self._decided("never")  # at once: killed after it, nobody sends it again
            known = (outcome.message.id, outcome.channel)
            if outcome.error is not None and (outcome.final or known not in self._said):
                self._said.add(known)
                detail = described(outcome.error)
                _log.warning(
                    "a notification did not arrive", **detail, subject=outcome.message.subject, again=not outcome.final
                )
            elif outcome.error is None:
                self._said.discard(known)
                _log.info("a notification arrived", channel=outcome.channel, subject=outcome.message.subject)

    def _guarded(self, seen: Observation) -> Observation:
        texts: dict[str, Any] = {name: guarded(getattr(seen, name), self._project) for name in ("what", "where")}
        texts["fix"] = guarded(seen.fix, self._project, own=True)
        return replace(seen, **texts)

    def _keep(self, problem: Problem) -> None:
        self._problems[problem.key] = replace(problem, updated_at=self._now())
        self._changed.add(problem.key)

    def _write(self) -> None:
        changed = [self._problems[key] for key in self._changed]
        self._changed.clear()
        if changed:
            self._store.write(self._problems, changed)
