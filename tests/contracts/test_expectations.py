"""What is expected of streams, judged on both warehouses: freshness, rows, quarantine, and what cannot be told yet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock.alerts.expectations import judge, last_period, span_in_words
from penstock.alerts.notices import Observation
from penstock.alerts.notifier import Notifier
from penstock.errors import UsageError
from penstock.land.session import Session
from penstock.ledger.run_records import RunRecord
from penstock.project import load_project
from penstock.runs.plan import plan_loads
from tests.support.receiver import receiver


class House:
    """A project with one stream of files, its warehouse open."""

    def __init__(self, folder: Path, warehouse: dict[str, Any]) -> None:
        self._folder = folder
        (folder / "data").mkdir()
        file = {
            "name": "expecting",
            "destinations": {"here": warehouse},
            "sources": {"files": {"type": "files", "path": "data/*.ndjson"}},
            "streams": {
                "things": {
                    "from": "files",
                    "event_time": "at",
                    "columns": {"at": "timestamp", "n": "bigint"},
                    "contract": {"types": "reject"},
                }
            },
        }
        (folder / "penstock.yml").write_text(json.dumps(file))
        self._file = file
        self.session = Session(load_project(folder))

    def land(self, name: str, *records: Any) -> datetime:
        """Land records, in a run; when that was."""
        lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
        (self._folder / "data" / f"{name}.ndjson").write_text("".join(f"{line}\n" for line in lines))
        record = RunRecord.begin(self.session.destination.ledger, "load")
        for step in plan_loads(self.session.project):
            with record.step("load", step.stream, step.source) as entry:
                self.session.load(step, on_commit=entry.committed)
        record.end("success")
        return datetime.now(UTC)

    def judged(self, expect: Any, now: datetime, **said: Any) -> tuple[str, str]:
        """State and what was seen of one expectation."""
        streams: Any = self._file["streams"]
        streams["things"]["expect"] = expect
        (self._folder / "penstock.yml").write_text(json.dumps(self._file))
        (verdict,) = judge(load_project(self._folder), self.session.destination.query, now=now, **said)
        assert bool(verdict.fix) == (verdict.state == "failed")
        return verdict.state, verdict.seen


@pytest.fixture
def house(tmp_path: Path, warehouse: dict[str, Any]) -> Iterator[House]:
    """A project on each warehouse."""
    found = House(tmp_path, warehouse)
    yield found
    found.session.close()


def test_fresh(house: House) -> None:
    """Fresh is what landed something new lately: duplicates make nothing fresh, nor does finding nothing new, but the
    source was checked. What never landed fails, or is given its time."""
    now = datetime.now(UTC)
    _ = house.session.destination
    assert house.judged("fresh within 10m", now) == ("failed", "nothing has landed yet")
    assert house.judged("fresh within 10m", now, begun=now - timedelta(minutes=9))[0] == "waiting"
    assert house.judged("fresh within 10m", now, begun=now - timedelta(minutes=11))[0] == "failed"
    assert house.judged("checked within 10m", now)[0] == "failed"
    landed = house.land("first", {"n": 1})
    assert house.judged("fresh within 10m", landed + timedelta(minutes=9))[0] == "ok"
    later = landed + timedelta(minutes=12, seconds=5)
    state, seen = house.judged("fresh within 10m", later)
    assert state == "failed" and seen.startswith("last landed 12m5s ago, 20")
    assert house.judged({"fresh_within": "10m", "severity": "warn"}, later)[0] == "failed"
    begun = datetime.now(UTC)
    house.session.destination.query(
        "update penstock.loads set committed_at = $1, started_at = $1", [begun - timedelta(hours=1)]
    )
    house.session.destination.query("update penstock.run_steps set started_at = $1", [begun - timedelta(hours=1)])
    again = house.land("again", {"n": 1})
    assert house.judged("fresh within 10m", again)[0] == "failed"
    assert house.judged("checked within 10m", again)[0] == "ok"
    nothing = house.land("nothing")
    assert house.judged("fresh within 10m", nothing)[0] == "failed"
    house.land("new", {"n": 2})
    assert house.judged("fresh within 10m", datetime.now(UTC))[0] == "ok"


def test_event_time(house: House) -> None:
    """The latest record that landed lately says how fresh the events are, in UTC; one that came late does not."""
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    _ = house.session.destination
    assert house.judged("event_time within 2h", now) == ("failed", "nothing has landed yet")
    house.land("first", {"n": 1, "at": "2026-05-01T11:00:00"}, {"n": 2, "at": "2026-04-30T11:00:00"}, {"n": 3})
    house.session.destination.query("update penstock.loads set committed_at = $1", [now - timedelta(minutes=50)])
    state, seen = house.judged("event_time within 2h", now)
    assert (state, seen) == ("ok", "the latest happened 1h ago, 2026-05-01 11:00:00 UTC")
    assert house.judged("event_time within 55m", now)[0] == "failed"
    late = house.judged("event_time within 10m", now)
    assert late == ("failed", "no record has landed for 10m")


def test_event_times_to_come_are_no_news(house: House) -> None:
    """The year 9999 stands for an open end: it says nothing of how fresh the events are."""
    now = datetime.now(UTC)
    house.land("first", {"n": 1, "at": "9999-12-31T23:59:59"})
    assert house.judged("event_time within 2h", now) == ("failed", "all that landed, 1, is to happen in the future")
    recent = (now - timedelta(hours=1)).replace(tzinfo=None).isoformat()
    house.land("second", {"n": 2, "at": recent}, {"n": 3, "at": "9999-12-31T23:59:59"})
    assert house.judged("event_time within 2h", now)[0] == "ok"


def test_rows(house: House) -> None:
    """Rows count by when they landed: in the time up to now, or in the last whole period, once the stream has seen it
    whole. Duplicates are no rows."""
    now = datetime(2026, 5, 6, 0, 30, tzinfo=UTC)
    query = house.session.destination.query
    assert house.judged("rows >= 1 in 1h", now) == ("failed", "nothing has landed yet")
    house.land("first", {"n": 1}, {"n": 2})
    house.land("again", {"n": 1}, {"n": 2}, {"n": 3})
    query("update penstock.loads set committed_at = $1 where seq = 1", [now - timedelta(days=1, minutes=45)])
    query("update penstock.loads set committed_at = $1 where seq = 2", [now - timedelta(minutes=40)])
    assert house.judged("rows >= 1 in 1h", now) == ("ok", "1 row in the last 1h")
    assert house.judged("rows >= 2 in 1h", now)[0] == "failed"
    assert house.judged("rows <= 0 in 1h", now)[0] == "failed"
    assert house.judged("rows between 3 and 3 in 2d", now) == ("ok", "3 rows in the last 2d")
    assert house.judged("rows >= 4 in 2d", now)[0] == "waiting"
    # yesterday is whole, and what it holds does not change before midnight
    assert house.judged("rows >= 1 per day", now) == ("ok", "1 row in the day from 2026-05-05 00:00:00 UTC")
    assert house.judged("rows >= 2 per day", now)[0] == "failed"
    assert house.judged("rows >= 2 per week", now)[0] == "waiting"
    assert house.judged({"rows": {"per": "hour", "at_most": 0}}, now)[0] == "failed"
    wednesday = datetime(2026, 5, 6, 10, 20, tzinfo=UTC)
    assert last_period("week", wednesday)[0] == datetime(2026, 4, 27, tzinfo=UTC)
    assert last_period("hour", wednesday)[1] == datetime(2026, 5, 6, 10, tzinfo=UTC)


def test_quarantine(house: House) -> None:
    """What waits in quarantine counts, as a share of what was read or as a number; what is dropped counts no longer."""
    house.land("good", *({"n": n} for n in range(8)))
    now = house.land("bad", "no json", {"n": "many"})
    state, seen = house.judged("quarantined <= 10% in 1d", now)
    assert (state, seen) == ("failed", "2 of 10 records wait, 20%, of the last 1d")
    assert house.judged("quarantined <= 20% in 1d", now)[0] == "ok"
    assert house.judged("quarantined <= 2", now)[0] == "ok"
    assert house.judged({"quarantined": {"at_most": 1, "within": "2h"}}, now)[0] == "failed"
    assert house.judged("quarantined <= 0", now + timedelta(days=2)) == ("ok", "0 of 0 records wait, of the last 1d")
    house.session.destination.query("update penstock.quarantine set dropped_at = $1", [now])
    assert house.judged("quarantined <= 10% in 1d", now)[0] == "ok"


def test_without_a_warehouse(house: House) -> None:
    """A project whose warehouse is not there yet is judged all the same; a stream that is not there is named."""
    house.judged("fresh within 1h", datetime.now(UTC), streams=["things"])
    project = load_project(house.session.project.directory)
    (verdict,) = judge(project, None)
    assert (verdict.state, verdict.subject) == ("failed", "stream things: fresh within 1h")
    with pytest.raises(UsageError, match="did you mean 'things'"):
        judge(project, None, streams=["thongs"])
    assert [span_in_words(timedelta(seconds=s)) for s in (0, 59, 3_725, 90_061)] == ["0s", "59s", "1h2m", "1d1h"]


def test_two_processes_at_once(house: House) -> None:
    """Two processes that see the same thing fail tell it once, and of what one told, the other tells the end."""
    with receiver() as server:
        house._file["notify"] = {"to": [{"webhook": server.url}], "settle": "0s"}
        house.judged("fresh within 1h", datetime.now(UTC))
        project = load_project(house.session.project.directory)
        both = [Notifier(project), Notifier(project)]
        (project.directory / ".penstock").mkdir(exist_ok=True)
        for notifier in both:
            notifier.start()
        for failing in (True, False):
            for notifier in both:
                notifier.see([Observation(alert="models_failed", subject="models", failing=failing, what="why")])
            for _ in range(3):
                for notifier in both:
                    notifier.tick()
        for notifier in both:
            notifier.close()
        assert server.events() == [("failed", "models"), ("recovered", "models")]
