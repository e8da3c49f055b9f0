"""When a schedule is due: time zones, what was missed, and settings that cannot be meant."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from penstock.errors import ProjectError
from penstock.project import Schedule, load_project
from penstock.runs.schedules import ON_REQUEST, named_streams, of_interval, plan_schedules
from penstock.spans import span_text, time_span
from penstock.up.ticks import MOST_MISSED, after, due


def at(text: str) -> datetime:
    """A moment, UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def moments(cron: str, start: str, count: int, zone: str = "Europe/Berlin") -> list[str]:
    """When it is due after a moment, all in UTC."""
    found = islice(after(Schedule(cron=cron, timezone=zone), at(start)), count)
    return [moment.strftime("%m-%d %H:%M") for moment in found]


def test_daylight_saving() -> None:
    """A time of day keeps to the zone's clock: in the gap of spring it comes right after it, and in autumn once. Every
    half hour goes by time that really passes."""
    assert moments("30 2 * * *", "2026-03-27T12:00", 3) == ["03-28 01:30", "03-29 01:00", "03-30 00:30"]
    assert moments("30 2 * * *", "2026-10-24T12:00", 2) == ["10-25 00:30", "10-26 01:30"]
    for late in ("2026-10-25T00:30", "2026-10-25T00:45", "2026-10-25T01:10", "2026-10-25T01:30"):
        assert moments("30 2 * * *", late, 1) == ["10-26 01:30"]
    assert moments("*/30 * * * *", "2026-10-25T00:10", 4) == [
        "10-25 00:30",
        "10-25 01:00",
        "10-25 01:30",
        "10-25 02:00",
    ]
    assert moments("@daily", "2026-03-28T12:00", 2) == ["03-28 23:00", "03-29 22:00"]
    assert moments("@daily", "2026-03-28T12:00", 2, "America/New_York") == ["03-29 04:00", "03-30 04:00"]


def test_missed() -> None:
    """After downtime: one run for all that was missed, none, or each; then the next moment."""
    last, now = at("2026-05-01T00:00"), at("2026-05-04T12:00")
    once = due(Schedule(cron="@daily"), last, now)
    assert (once.runs, once.next) == ((at("2026-05-04T00:00"),), at("2026-05-05T00:00"))
    skip = due(Schedule(cron="@daily", missed="skip"), last, now)
    assert (skip.runs, skip.done, skip.next) == ((), at("2026-05-04T00:00"), at("2026-05-05T00:00"))
    every = due(Schedule(cron="@daily", missed="all"), last, now)
    assert every.runs == (at("2026-05-02T00:00"), at("2026-05-03T00:00"), at("2026-05-04T00:00"))
    on_time = due(Schedule(cron="@daily", missed="skip"), last, at("2026-05-02T00:00:01"))
    assert on_time.runs == (at("2026-05-02T00:00"),)
    assert due(Schedule(cron="@daily"), last, at("2026-05-01T23:59")).runs == ()


def test_first_time() -> None:
    """Of a schedule that is new nothing was missed: cron waits, ``every`` begins at once."""
    now = at("2026-05-04T12:00")
    assert due(Schedule(cron="@daily"), None, now).runs == ()
    first = due(Schedule(every=timedelta(minutes=5)), None, now)
    assert (first.runs, first.next) == ((now,), at("2026-05-04T12:05"))
    later = due(Schedule(every=timedelta(minutes=5)), now, at("2026-05-04T12:17"))
    assert (later.runs, later.next) == ((at("2026-05-04T12:15"),), at("2026-05-04T12:20"))


def test_years_of_downtime() -> None:
    """Six years of a minutely schedule are looked through in no time, and caught up in part."""
    started = time.monotonic()
    for schedule in (Schedule(cron="* * * * *", missed="all"), Schedule(every=timedelta(minutes=1), missed="all")):
        found = due(schedule, at("2020-01-01T00:00"), at("2026-01-01T00:00"))
        assert MOST_MISSED <= len(found.runs) <= MOST_MISSED + 1 and found.runs[-1] == at("2026-01-01T00:00")
    yearly = due(Schedule(cron="@yearly", missed="all"), at("2020-01-01T00:00"), at("2026-06-01T00:00"))
    assert len(yearly.runs) == 6
    assert time.monotonic() - started < 10


def test_clock_put_back() -> None:
    """A clock that was wrong by far does not hold a schedule up: it goes by the time of now."""
    found = due(Schedule(cron="@hourly"), at("2036-05-04T12:00"), at("2026-05-04T11:30"))
    assert found.runs == () and found.next == at("2026-05-04T12:00")


def test_spans() -> None:
    """Times as text, there and back."""
    assert time_span("1h30m") == timedelta(minutes=90)
    assert time_span("90") == time_span(90) == time_span("90s") == timedelta(seconds=90)
    assert [span_text(time_span(t)) for t in ("90s", "1d", "0", "1.5h")] == ["1m30s", "1d", "0s", "1h30m"]


def project_with(tmp_path: Path, project: str = "", stream: str = "") -> Any:
    """A project with a folder, an API, and schedules as said."""
    (tmp_path / "penstock.yml").write_text(
        "name: p\ndestinations: {here: {type: duckdb, path: w.duckdb}}\n"
        "sources:\n  files: {type: files, path: data/**}\n"
        "  api: {type: http, base_url: 'http://localhost:1', endpoints: {things: {path: /}}}\n"
        "  queue: {type: rabbitmq, url: 'amqp://localhost', queue: q}\n"
        f"streams:\n  events: {{from: files{stream}}}\n  things: {{from: api}}\n  news: {{from: queue}}\n{project}\n"
    )
    return load_project(tmp_path)


@pytest.mark.parametrize(
    ("project", "stream", "said"),
    [
        ("schedule: 61 * * * *", "", "bad minute"),
        ("schedule: '@fortnightly'", "", "@daily"),
        ("schedule: every 5 parsecs", "", "such as 30s"),
        ("schedule: every 5", "", "every 5m"),
        ("schedule: {every: 5m, cron: '@daily'}", "", "one of them"),
        ("schedule: {every: 0.1s}", "", "less than a second"),
        ("schedule: {cron: '@daily', timezone: Mars/Olympus}", "", "no time zone 'Mars/Olympus'"),
        ("schedule: 0 0 30 2 *", "", "bad day-of-month"),
        ("schedule: {cron: '@daily', missed: maybe}", "", "once, skip or all"),
        ("schedule: {cron: '@daily', retrys: 3}", "", "did you mean `retries`"),
        ("", ", schedule: 'never'", "five fields"),
    ],
)
def test_settings_that_cannot_be_meant(tmp_path: Path, project: str, stream: str, said: str) -> None:
    """Each is an error that says what there is."""
    with pytest.raises(ProjectError) as error:
        project_with(tmp_path, project, stream)
    assert said in str(error.value) and "penstock.yml:" in str(error.value)


def test_a_queue_has_no_schedule(tmp_path: Path) -> None:
    """What comes by queue lands at once."""
    project_with(tmp_path)
    path = tmp_path / "penstock.yml"
    path.write_text(path.read_text().replace("{from: queue}", "{from: queue, schedule: '@daily'}"))
    with pytest.raises(ProjectError, match="no end to load up to"):
        load_project(tmp_path)


def test_what_is_scheduled(tmp_path: Path) -> None:
    """The project's schedule loads all that ends and has none of its own; without one, APIs wait for a request, and
    files are watched."""

    def planned(project: str, stream: str) -> dict[str, list[str]]:
        found = plan_schedules(project_with(tmp_path, project, stream))
        return {loads.name: [step.stream for step in loads.steps] for loads in found}

    assert planned("", "") == {ON_REQUEST: ["things"]}
    assert planned("schedule: '@daily'", "") == {"project": ["events", "things"]}
    assert planned("schedule: '@daily'", ", schedule: every 5m") == {"project": ["things"], "stream events": ["events"]}
    assert planned("schedule: '@daily'", ", schedule: false") == {"project": ["things"]}
    project = project_with(tmp_path, "schedule: {every: 90s, jitter: 5s}")
    assert project.masked()["schedule"]["every"] == "1m30s"
    (only,) = named_streams(project, plan_schedules(project), ["things"])
    assert [step.stream for step in only.steps] == ["things"]


def test_days_of_an_interval(tmp_path: Path) -> None:
    """An interval's days are taken in whole, in UTC, its end's only when it goes past midnight; streams without days
    are loaded whole."""
    project = project_with(tmp_path, "schedule: '@daily'", ", event_time: at, columns: {at: timestamp}")
    (loads,) = plan_schedules(project)

    def days(start: datetime, end: datetime) -> dict[str, str]:
        return {step.stream: str(step.window) for step in of_interval(project, loads.steps, start, end)}

    midnight = datetime(2026, 5, 2, tzinfo=UTC)
    one = {"events": "2026-05-01T00:00:00/2026-05-02T00:00:00", "things": "None"}
    assert days(midnight - timedelta(days=1), midnight) == one
    assert days(midnight - timedelta(hours=1), midnight) == one
    two = {"events": "2026-05-01T00:00:00/2026-05-03T00:00:00", "things": "None"}
    assert days(midnight - timedelta(hours=1), midnight + timedelta(microseconds=1)) == two
    berlin = ZoneInfo("Europe/Berlin")
    assert days(datetime(2026, 5, 2, 1, tzinfo=berlin), datetime(2026, 5, 2, 3, tzinfo=berlin)) == two
