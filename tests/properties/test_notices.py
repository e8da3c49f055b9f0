"""The rule of one message: for every course of failures and recoveries, in however many processes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.alerts.notices import Observation, Problem, closed, due, observe, problem_of, told
from penstock.alerts.notifier import Notifier
from penstock.land.session import Session
from penstock.project import Notify, load_project
from tests.support.examples import examples
from tests.support.receiver import receiver

START = datetime(2026, 5, 1, tzinfo=UTC)
Step = tuple[int, bool | None, bool]
"""Seconds that pass; whether it fails then, None for nobody looks; whether another process takes over."""
steps = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from([True, True, False, False, None]), st.booleans()), max_size=60
)
rules = st.builds(
    lambda after, for_, remind, calm: Notify.model_validate(
        {"after": after, "for": for_, "remind_every": remind, "calm": calm}
    ),
    st.integers(1, 3),
    st.sampled_from([0, 100, 700]),
    st.sampled_from([0, 500, 2_000]),
    st.sampled_from([0, 300, 900]),
)


def course(course: Sequence[Step], rule: Notify, *, restarts: bool = True) -> Iterator[tuple[int, str, bool | None]]:
    """Each message: its second, what it tells, and whether it failed when somebody last looked."""
    problem: Problem | None = None
    second, fails = 0, None
    for passed, now_fails, taken_over in course:
        second += passed
        now = START + timedelta(seconds=second)
        if taken_over and restarts and problem is not None:
            problem = problem_of(json.loads(json.dumps(problem.as_dict())))
        if now_fails is not None:
            fails = now_fails
            seen = Observation(alert="schedule_failed", subject="schedule daily", failing=now_fails, what="why")
            problem = observe(problem, seen, now, rule)
        if problem is not None:
            problem = closed(problem, now)
            event = due(problem, now, rule)
            if event is not None:
                problem = told(problem, event, now)
                yield second, event, fails


@given(steps, rules)
@settings(max_examples=examples(600), deadline=None)
def test_one_message(seen: Sequence[Step], rule: Notify) -> None:
    """A failure is told, then perhaps reminded of as seldom as asked for, then told as over, before another is told. It
    is told as what it is, and of one that comes and goes there are at most two in any time as long as ``calm``."""
    found = list(course(seen, rule))
    events = [event for _, event, _ in found]
    follows = {"": {"failed"}, "failed": {"reminded", "recovered"}, "reminded": {"reminded", "recovered"},
               "recovered": {"failed"}}  # fmt: skip
    assert all(later in follows[before] for before, later in pairwise(["", *events]))
    assert all(fails == (event != "recovered") for _, event, fails in found)
    every = rule.remind_every.total_seconds()
    for (earlier, _, _), (later, event, _) in pairwise(found):
        assert event != "reminded" or (every and later - earlier >= every)
    failed = [second for second, event, _ in found if event == "failed"]
    calm = rule.calm.total_seconds()
    assert all(later - earlier >= calm for earlier, later in zip(failed, failed[2:], strict=False))


@given(steps, rules)
@settings(max_examples=examples(300), deadline=None)
def test_nothing_is_forgotten(seen: Sequence[Step], rule: Notify) -> None:
    """Whatever was before: what goes on failing is told in the end, and so is that it has been well for a while; and
    processes that take over from each other tell the same as one."""
    fails: list[Step] = [(400, True, True)] * 4
    ended = [event for _, event, _ in course([*seen, *fails], rule)]
    assert ended[-1] in ("failed", "reminded")
    well: list[Step] = [(400, False, True)] * 4
    ended = [event for _, event, _ in course([*seen, *well], rule)]
    assert not ended or ended[-1] == "recovered"
    assert list(course(seen, rule)) == list(course(seen, rule, restarts=False))


def test_processes_that_take_over(tmp_path: Path) -> None:
    """The same of whole processes, with a ledger, a file and a receiver: what arrives is what the rule says."""
    with receiver() as server:
        file = {
            "name": "told",
            "destinations": {"here": {"type": "duckdb", "path": "warehouse.duckdb"}},
            "notify": {"to": [{"webhook": server.url}], "calm": "5m"},
        }
        (tmp_path / "penstock.yml").write_text(json.dumps(file))
        project = load_project(tmp_path)
        numbers = iter(range(1_000_000))

        @given(steps.filter(lambda found: len(found) <= 25))
        @settings(max_examples=examples(12), deadline=None, suppress_health_check=list(HealthCheck))
        def holds(seen: Sequence[Step]) -> None:
            subject = f"schedule {next(numbers)}"
            clock = [START]
            before = len(server.posts)
            for passed, fails, _ in seen:
                clock[0] += timedelta(seconds=passed)
                notifier = Notifier(project, now=lambda: clock[0])
                if fails is not None:
                    notifier.see([Observation(alert="schedule_failed", subject=subject, failing=fails, what="why")])
                notifier.tell()
            arrived = [
                alert["event"] for post in server.posts[before:] for alert in post.said["alerts"]
                if alert["subject"] == subject
            ]  # fmt: skip
            assert arrived == [event for _, event, _ in course(seen, project.notify)]

        with Session(project) as session:
            assert session.destination.is_prepared()  # held open, so that opening it again is quick
            holds()
