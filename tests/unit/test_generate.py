"""The generator of user events and organisations."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import subprocess
import sys
from collections import Counter
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard

from penstock.errors import UsageError
from penstock.samples.generate import organizations_for, write_organizations, write_user_events

Record = dict[str, Any]


def written(folder: Path, count: int, **options: Any) -> list[Record]:
    path = folder / "events.ndjson"
    write_user_events(path, count=count, **options)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def test_the_bytes_are_the_same_for_ever(tmp_path: Path) -> None:
    """Given arguments give these very bytes, on every machine and Python; benchmarks rely on it."""
    events, organizations = tmp_path / "e.ndjson", tmp_path / "o.json"
    write_user_events(events, count=30_000, seed=7, duplicates=0.01, out_of_order=0.05)
    write_organizations(organizations, 100, seed=7)
    assert digest(events) == "224efc666c37bc37"
    assert digest(organizations) == "16ce7f424165586f"


def test_another_process_writes_the_same(tmp_path: Path) -> None:
    """Hash seeds, thread counts and what ran before in the process make no difference."""
    here, there = tmp_path / "here.ndjson", tmp_path / "there.ndjson"
    write_user_events(here, count=5_000, duplicates=0.02, out_of_order=0.1)
    script = (
        "import sys, pathlib; from penstock.samples.generate import write_user_events as w;"
        "w(pathlib.Path(sys.argv[1]), count=5_000, duplicates=0.02, out_of_order=0.1)"
    )
    environ = {"PYTHONHASHSEED": "99", "OMP_NUM_THREADS": "1", "PYTHONPATH": ":".join(p for p in sys.path if p)}
    subprocess.run([sys.executable, "-c", script, str(there)], check=True, env=environ)
    assert here.read_bytes() == there.read_bytes()


def test_another_seed_gives_other_events(tmp_path: Path) -> None:
    """Seeds share no user."""
    one, two = written(tmp_path, 2_000, seed=1), written(tmp_path, 2_000, seed=2)
    assert not {r["id"] for r in one} & {r["id"] for r in two}


@pytest.mark.parametrize(("count", "share"), [(0, 0.0), (1, 0.0), (2, 0.5), (999, 0.01), (20_000, 0.01), (3_000, 0.5)])
def test_the_count_and_the_copies_are_exact(tmp_path: Path, count: int, share: float) -> None:
    """``count`` records are written, the asked share of them exact copies of records before them."""
    path = tmp_path / "e.ndjson"
    different = write_user_events(path, count=count, duplicates=share, out_of_order=0.05)
    lines = path.read_bytes().splitlines()
    assert len(lines) == count
    assert different == count - round(count * share)
    assert len(set(lines)) == different


def test_a_record_has_the_eight_fields(tmp_path: Path) -> None:
    """Every record has the fields of a user event in their order, nulls and empty texts among them."""
    records = written(tmp_path, 5_000)
    fields = ["id", "event_type", "username", "user_email", "user_type"]
    fields += ["organization_name", "plan_name", "received_at"]
    assert all(list(r) == fields for r in records)
    assert all(len(r["id"]) == 32 and int(r["id"], 16) >= 0 for r in records)
    assert all(datetime.strptime(r["received_at"], "%Y-%m-%d %H:%M:%S.%f") for r in records)
    assert {r["user_type"] for r in records} == {"Admin", "Creator", "User", ""}
    assert {r["plan_name"] for r in records} == {"Small", "Medium", "Enterprise", None}
    size = (tmp_path / "events.ndjson").stat().st_size / len(records)
    assert 240 < size < 310


def test_lives_are_coherent(tmp_path: Path) -> None:
    """A user is created first and once, is not heard of after a deletion unless created again, and nobody
    else has that id."""
    lives: dict[str, list[Record]] = {}
    for record in written(tmp_path, 40_000):
        lives.setdefault(record["id"], []).append(record)
    endings: Counter[str] = Counter()
    for life in lives.values():
        kinds = [r["event_type"] for r in life]
        times = [r["received_at"] for r in life]
        assert times == sorted(set(times))
        alive = False
        for kind in kinds:
            assert (kind == "User Created") is not alive
            alive = kind != "User Deleted"
        endings["re-created" if kinds.count("User Created") > 1 else kinds[-1]] += 1
    assert set(endings) == {"re-created", "User Created", "User Updated", "User Deleted"}
    assert max(len(life) for life in lives.values()) == 6


def test_updates_change_things_and_some_change_nothing(tmp_path: Path) -> None:
    """Most updates change a part of the user, a few none; a deletion changes none."""
    before: dict[str, Record] = {}
    changes: Counter[bool] = Counter()
    for record in written(tmp_path, 40_000):
        state = {k: v for k, v in record.items() if k not in ("event_type", "received_at")}
        if record["event_type"] == "User Updated":
            changes[state != before[record["id"]]] += 1
        elif record["event_type"] == "User Deleted":
            assert state == before[record["id"]]
        before[record["id"]] = state
    assert changes[False] > 0.02 * changes.total()
    assert changes[True] > 0.5 * changes.total()


def test_late_events_stand_behind_later_ones(tmp_path: Path) -> None:
    """Without ``out_of_order`` the file is in the order of time; with it, about that share is not."""
    times = [r["received_at"] for r in written(tmp_path, 20_000)]
    assert times == sorted(times)
    times = [r["received_at"] for r in written(tmp_path, 20_000, out_of_order=0.05)]
    latest, late = "", 0
    for at in times:
        late += at < latest
        latest = max(at, latest)
    assert 0.04 * len(times) < late <= 0.05 * len(times)


def test_days_have_as_many_events_as_asked(tmp_path: Path) -> None:
    """``events_per_day`` and ``start`` place the events."""
    records = written(tmp_path, 1_000, start=date(2020, 12, 5), events_per_day=300)
    days = Counter(r["received_at"][:10] for r in records)
    assert days == {"2020-12-05": 300, "2020-12-06": 300, "2020-12-07": 300, "2020-12-08": 100}


def test_all_formats_hold_the_same_records(tmp_path: Path) -> None:
    """NDJSON, a JSON array and CSV differ in form alone; in CSV a null is empty and an empty text quoted."""
    expected = written(tmp_path, 3_000, duplicates=0.01)
    array, table = tmp_path / "e.json", tmp_path / "e.csv"
    write_user_events(array, count=3_000, duplicates=0.01, format="json")
    write_user_events(table, count=3_000, duplicates=0.01, format="csv")
    assert json.loads(array.read_text()) == expected
    rows = list(csv.DictReader(io.StringIO(table.read_text(), newline="")))
    assert rows == [{k: v or "" for k, v in r.items()} for r in expected]
    assert ',"",' in table.read_text()
    write_user_events(array, count=0, format="json")
    assert json.loads(array.read_text()) == []


def test_compressed_by_suffix(tmp_path: Path) -> None:
    """``.gz`` and ``.zst`` hold what the plain file does, and the same bytes each time."""
    plain, gz, zst = tmp_path / "e.ndjson", tmp_path / "e.ndjson.gz", tmp_path / "e.ndjson.zst"
    for path in (plain, gz, zst):
        write_user_events(path, count=2_000)
    assert gzip.decompress(gz.read_bytes()) == plain.read_bytes()
    assert zstandard.ZstdDecompressor().stream_reader(zst.read_bytes()).read() == plain.read_bytes()
    before = gz.read_bytes()
    write_user_events(gz, count=2_000)
    assert gz.read_bytes() == before


def test_organisations_are_those_of_the_events(tmp_path: Path) -> None:
    """Every organisation in the events is among those of the same seed; names and keys are unlike each other."""
    path = tmp_path / "o.json"
    records = written(tmp_path, 20_000, seed=3)
    write_organizations(path, organizations_for(20_000), seed=3)
    organizations = json.loads(path.read_text())
    assert {r["organization_name"] for r in records} <= {o["organization_name"] for o in organizations}
    write_organizations(path, 70_000, seed=3)
    organizations = json.loads(path.read_text())
    assert len({o["organization_name"] for o in organizations}) == 70_000
    assert len({o["organization_key"] for o in organizations}) == 70_000
    write_organizations(path, 0)
    assert json.loads(path.read_text()) == []


def test_progress_is_told(tmp_path: Path) -> None:
    """The numbers rise and end at the count."""
    told: list[int] = []
    write_user_events(tmp_path / "e.ndjson", count=30_000, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 30_000


def test_a_broken_off_file_leaves_nothing(tmp_path: Path) -> None:
    """A file appears whole or not at all, and an old one stays until then."""
    path = tmp_path / "e.ndjson"
    path.write_text("old")

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_user_events(path, count=30_000, progress=stop)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": -1},
        {"count": 10, "duplicates": 0.6},
        {"count": 10, "out_of_order": 1.5},
        {"count": 10, "events_per_day": 0},
        {"count": 10_000_000, "events_per_day": 1},
        {"count": 10, "organizations": 0},
        {"count": 10, "format": "xml"},
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """An argument out of range is an error with the fix, and nothing is written."""
    with pytest.raises(UsageError) as caught:
        write_user_events(tmp_path / "e.ndjson", **wrong)
    assert caught.value.fix
    assert not list(tmp_path.iterdir())


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder that is a file is told, not a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_user_events(tmp_path / "file" / "e.ndjson", count=1)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_count(tmp_path: Path) -> None:
    """Ten times the events take at most a third more memory."""
    script = (
        "import resource, sys, pathlib; from penstock.samples.generate import write_user_events as w;"
        "w(pathlib.Path(sys.argv[1]), count=int(sys.argv[2]), duplicates=0.01, out_of_order=0.05, organizations=1000);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for count in ("100000", "1000000"):
        command = [sys.executable, "-c", script, str(tmp_path / "e.ndjson"), count]
        environ = {"PYTHONPATH": ":".join(p for p in sys.path if p)}
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, env=environ).stdout))
    assert peaks[1] < peaks[0] * 4 / 3 + 20_000
