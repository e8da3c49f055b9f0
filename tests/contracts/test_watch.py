"""What watching a folder promises: each file whole, once, and soon; no file and no outage ends it."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pika
import pytest

from penstock.errors import SourceError, UsageError
from penstock.land.session import Session
from penstock.project import load_project
from penstock.runs.folders import UNNAMED, watched
from penstock.samples.generate import write_user_events
from penstock.testing.postgres import PrivatePostgres
from tests.support.warehouse import table
from tests.support.watching import a_watched_project, lines, messages, numbers, penstock, query, watching


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Makes the test's project."""
    return partial(a_watched_project, tmp_path)


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_files_there_and_files_moved_in(make: Callable[..., Path], kind: str, request: pytest.FixtureRequest) -> None:
    """What is there lands first; what is moved in lands at once, whatever the time to settle."""
    folder = make(request.getfixturevalue("postgres_url") if kind == "postgres" else "", settle=2)
    (folder / "data" / "old.ndjson").write_text(lines(0, 5))
    with watching(folder) as found:
        found.until(lambda: found.landed == 5)
        (folder / "outside.ndjson").write_text(lines(5, 9))
        time.sleep(0.1)  # a move in the tick of the clock in which it was written is not told from writing
        began = time.monotonic()
        os.rename(folder / "outside.ndjson", folder / "data" / "new.ndjson")
        found.until(lambda: found.landed == 9)
        took = time.monotonic() - began
    assert took < 1.9, "it waited for the file to settle"
    assert numbers(folder) == list(range(9))


def test_a_temporary_name(make: Callable[..., Path]) -> None:
    """A name may say that its file is being written: it is left alone until it is renamed, and lands then at once."""
    folder = make(settle=2)
    data = folder / "data"
    names = [".hidden.ndjson", "a.ndjson.tmp", "b.ndjson.part", "c.ndjson~"]
    with watching(folder) as found:
        for n, name in enumerate(names):
            (data / name).write_text(lines(n, n + 1))
        time.sleep(2.5)
        assert not found.receipts
        began = time.monotonic()
        (data / "d.tmp").write_text(lines(4, 5))
        os.rename(data / "d.tmp", data / "d.ndjson")
        for name in names:
            os.rename(data / name, data / name.strip(".").removesuffix(".tmp").removesuffix(".part").rstrip("~"))
        found.until(lambda: found.landed == 5)
        assert time.monotonic() - began < 1.9
    assert numbers(folder) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "name", [*(pytest.param(n, marks=pytest.mark.slow) for n in ("slow.json", "slow.csv")), "slow.json.gz"]
)
def test_a_slow_writer(make: Callable[..., Path], name: str) -> None:
    """A file written in pieces, with pauses shorter than the settling, is read once, whole."""
    folder = make(settle=1.0)
    plain = "n\n" + "".join(f"{n}\n" for n in range(50)) if "csv" in name else json.dumps([{"n": n} for n in range(50)])
    content = gzip.compress(plain.encode()) if name.endswith(".gz") else plain.encode()
    with watching(folder) as found:
        with (folder / "data" / name).open("wb", buffering=0) as file:
            for at in range(0, len(content), len(content) // 8):
                file.write(content[at : at + len(content) // 8])
                time.sleep(0.2)
        found.until(lambda: found.landed == 50)
    assert [(r.read, r.quarantined) for r in found.receipts] == [(50, 0)]
    assert not found.said


def test_every_format(make: Callable[..., Path]) -> None:
    """All that a files source reads."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import zstandard

    folder = make()
    data = folder / "data"
    with watching(folder) as found:
        (data / "sub").mkdir()
        (data / "a.json").write_text('[{"n": 0}, {"n": 1}]')
        (data / "sub" / "b.csv").write_text("n\n2\n")
        (data / "c.jsonl.gz").write_bytes(gzip.compress(lines(3, 4).encode()))
        (data / "d.ndjson.zst").write_bytes(zstandard.compress(lines(4, 5).encode()))
        pq.write_table(pa.table({"n": [5]}), data / "e.parquet")
        found.until(lambda: found.landed == 6)
    assert numbers(folder) == list(range(6))


def test_ndjson_grows(make: Callable[..., Path]) -> None:
    """It is read on from where it stopped; an unfinished last line waits until it is finished."""
    folder = make()
    with watching(folder) as found, (folder / "data" / "log.ndjson").open("w", buffering=1) as file:
        file.write(lines(0, 3) + '{"n": ')
        file.flush()
        found.until(lambda: found.landed == 3)
        time.sleep(0.7)
        file.write("3}\n" + lines(4, 6))
        found.until(lambda: found.landed == 6)
    assert [(r.read, r.quarantined) for r in found.receipts] == [(3, 0), (3, 0)]
    assert numbers(folder) == list(range(6))


def test_ndjson_that_never_rests(make: Callable[..., Path]) -> None:
    """A log that is written to all the time is read all the same."""
    folder = make(settle=0.5)
    with watching(folder) as found, (folder / "data" / "log.ndjson").open("w", buffering=1) as file:
        give_up = time.monotonic() + 60
        n = 0
        while not found.receipts and time.monotonic() < give_up:
            file.write(lines(n, n + 1))
            n += 1
            time.sleep(0.05)
        assert found.landed > 0
        found.until(lambda: found.landed == n)
    assert sum(r.quarantined for r in found.receipts) == 0


def test_an_unfinished_line_counts_in_the_end(make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody finishes it, so it goes where ``penstock load`` sends it: to quarantine."""
    monkeypatch.setattr("penstock.runs.watch.UNFINISHED_SECONDS", 1.0)
    folder = make()
    with watching(folder) as found:
        (folder / "data" / "cut.ndjson").write_text(lines(0, 2) + '{"n": ')
        found.until(lambda: sum(r.quarantined for r in found.receipts) == 1)
    assert [(r.landed, r.quarantined) for r in found.receipts] == [(2, 0), (0, 1)]


def test_broken_files(make: Callable[..., Path]) -> None:
    """Each is told and passed over; those beside it land. Mended, it lands too."""
    folder = make()
    data = folder / "data"
    whole = gzip.compress(lines(0, 5).encode())
    for n in range(5, 9):
        (data / f"{n}.ndjson").write_text(lines(n, n + 1))
    (data / "0.json.gz").write_bytes(whole[:-8])
    (data / "7a.bin").write_bytes(b"\x00\x01 no format")
    (data / "x.parquet").write_bytes(b"PAR1 not really")
    (data / "torn.ndjson").write_text('{"n": 9}\n{"n": \n')
    with watching(folder) as found:
        found.until(lambda: len(found.watcher.failures) == 3 and found.landed >= 5)
        assert {path.name for path in found.watcher.failures} == {"0.json.gz", "7a.bin", "x.parquet"}
        (data / "after.ndjson").write_text(lines(10, 11))
        (data / "0.json.gz").write_bytes(whole)
        found.until(lambda: len(found.watcher.failures) == 2 and found.landed == 11)
    assert numbers(folder) == list(range(11))
    assert query(folder, "select reason_code from penstock.quarantine") == [("invalid_json",)]
    assert len(found.said) == 3


def test_a_broken_contract(make: Callable[..., Path]) -> None:
    """A file that a frozen contract keeps out is told, and the others land."""
    folder = make(contract="freeze")
    with watching(folder) as found:
        (folder / "data" / "a.ndjson").write_text(lines(0, 2))
        found.until(lambda: found.landed == 2)
        (folder / "data" / "b.ndjson").write_text('{"n": "no number"}\n')
        found.until(lambda: bool(found.watcher.failures))
        (folder / "data" / "c.ndjson").write_text(lines(2, 3))
        found.until(lambda: found.landed == 3)
    assert numbers(folder) == [0, 1, 2]


def test_restart(make: Callable[..., Path]) -> None:
    """What landed before does not land again, and what came meanwhile does."""
    folder = make()
    (folder / "data" / "a.ndjson").write_text(lines(0, 3))
    with watching(folder) as first:
        first.until(lambda: first.landed == 3)
    (folder / "data" / "b.ndjson").write_text(lines(3, 5))
    shutil.copy(folder / "data" / "a.ndjson", folder / "data" / "copy.ndjson")
    with watching(folder) as second:
        second.until(lambda: second.landed == 2)
        time.sleep(0.5)
    assert [r.read for r in second.receipts] == [2]
    assert numbers(folder) == list(range(5))


def test_replace_reads_all(make: Callable[..., Path]) -> None:
    """A stream that loads replace holds what the folder holds, also after a file is gone."""
    folder = make(disposition="replace", identity="[n]")
    (folder / "data" / "a.ndjson").write_text(lines(0, 3))
    with watching(folder) as found:
        found.until(lambda: found.landed == 3)
        (folder / "data" / "b.ndjson").write_text(lines(3, 5))
        found.until(lambda: len(found.receipts) == 2)
        (folder / "data" / "a.ndjson").unlink()
        found.until(lambda: len(found.receipts) == 3)
    assert numbers(folder) == [3, 4]


def test_a_folder_that_comes_and_goes(make: Callable[..., Path]) -> None:
    """It need not be there at first."""
    folder = make()
    (folder / "data").rmdir()
    with watching(folder) as found:
        time.sleep(0.3)
        (folder / "data").mkdir()
        (folder / "data" / "a.ndjson").write_text(lines(0, 3))
        found.until(lambda: found.landed == 3)


def test_polling(make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no notifications."""
    monkeypatch.setenv("WATCHFILES_FORCE_POLLING", "1")
    folder = make()
    with watching(folder) as found:
        (folder / "data" / "a.ndjson").write_text(lines(0, 3))
        found.until(lambda: found.landed == 3)


@pytest.mark.slow
def test_destination_away(make: Callable[..., Path]) -> None:
    """While PostgreSQL is away it is waited for; then all that came lands."""
    with PrivatePostgres(durable=True) as server:
        folder = make(server.url)
        (folder / "data" / "a.ndjson").write_text(lines(0, 3))
        with watching(folder) as found:
            found.until(lambda: found.landed == 3)
            server.kill()
            (folder / "data" / "b.ndjson").write_text(lines(3, 5))
            found.until(lambda: bool(found.watcher.last_error))
            server.start()
            found.until(lambda: found.landed == 5)
            assert not found.watcher.last_error
        assert numbers(folder) == list(range(5))
        assert any(line.startswith("waiting") for line in found.said)


def test_another_process_may_have_the_warehouse(make: Callable[..., Path]) -> None:
    """A watcher that waits holds no lock on a DuckDB file."""
    folder = make()
    (folder / "data" / "a.ndjson").write_text(lines(0, 3))
    with watching(folder) as found:
        found.until(lambda: found.landed == 3)
        assert penstock(folder, "query", "select count(*) as c from raw.events", "--csv").stdout == "c\n3\n"


def test_publish(make: Callable[..., Path], rabbitmq_url: str) -> None:
    """Records go to the queue, once: after a restart too, and when a file has grown."""
    folder = make(rabbitmq=rabbitmq_url)
    log = folder / "data" / "a.ndjson"
    log.write_text(lines(0, 3))
    (folder / "data" / "b.csv").write_text("n\n3\n")
    with watching(folder, publish=True) as first:
        first.until(lambda: first.watcher.published == 4)
        with log.open("a") as file:
            file.write(lines(4, 6))
        first.until(lambda: first.watcher.published == 6)
    with watching(folder, publish=True) as second:
        (folder / "data" / "c.json").write_text('[{"n": 6}]')
        second.until(lambda: second.watcher.published == 1)
    assert sorted(int(m["n"]) for m in messages(rabbitmq_url)) == list(range(7))
    assert query(folder, "select count(*) from penstock.loads") == [(0,)]
    assert not first.receipts


def test_publish_and_land_are_apart(make: Callable[..., Path], rabbitmq_url: str) -> None:
    """What was published has not landed, and the other way round."""
    folder = make(rabbitmq=rabbitmq_url)
    (folder / "data" / "a.ndjson").write_text(lines(0, 3))
    published = penstock(folder, "watch", "data", "--publish", "--once", "--json")
    landed = penstock(folder, "watch", "data", "--once", "--json")
    assert json.loads(published.stdout)["published"] == json.loads(landed.stdout)["landed"] == 3
    assert json.loads(penstock(folder, "watch", "data", "--publish", "--once", "--json").stdout)["published"] == 0
    assert json.loads(penstock(folder, "watch", "data", "--once", "--json").stdout)["read"] == 0


def test_broker_away(make: Callable[..., Path], rabbitmq_url: str) -> None:
    """It is waited for, and with ``--once`` it is an error."""
    folder = make(rabbitmq="amqp://guest:guest@127.0.0.1:9")
    (folder / "data" / "a.ndjson").write_text(lines(0, 3))
    with watching(folder, publish=True) as found:
        found.until(lambda: "away" in found.watcher.last_error)
    assert not found.watcher.failures
    assert penstock(folder, "watch", "--publish", "--once").returncode == SourceError.exit_code


@pytest.mark.parametrize("fault", ["before_stage:kill", "before_commit:kill", "after_commit:kill"])
def test_killed_while_landing(make: Callable[..., Path], fault: str) -> None:
    """Killed at any step and started again: every record once."""
    folder = make()
    for n in range(3):
        (folder / "data" / f"{n}.ndjson").write_text(lines(10 * n, 10 * n + 10))
    assert penstock(folder, "watch", "--once", fault=fault).returncode == -signal.SIGKILL
    assert penstock(folder, "watch", "--once").returncode == 0
    assert numbers(folder) == list(range(30))


def test_killed_after_publishing(make: Callable[..., Path], rabbitmq_url: str) -> None:
    """Killed before the ledger knows, the same messages come again, with the same ids: they land once."""
    folder = make(rabbitmq=rabbitmq_url)
    (folder / "data" / "a.ndjson").write_text(lines(0, 3))
    assert penstock(folder, "watch", "--publish", "--once", fault="after_publish:kill").returncode == -signal.SIGKILL
    assert penstock(folder, "watch", "--publish", "--once").returncode == 0
    assert penstock(folder, "watch", "--publish", "--once").returncode == 0
    with pika.BlockingConnection(pika.URLParameters(rabbitmq_url)) as connection:
        channel: Any = connection.channel()
        ids = [channel.basic_get("q", auto_ack=True)[1].message_id for _ in range(6)]
        assert channel.basic_get("q")[0] is None
    assert ids[:3] == ids[3:]
    assert len(set(ids)) == 3


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_same_rows_as_a_load(make: Callable[..., Path], kind: str, request: pytest.FixtureRequest) -> None:
    """Law 2: dropped one after the other, or loaded at once, files give the same table."""
    folder = make(request.getfixturevalue("postgres_url") if kind == "postgres" else "")
    write_user_events(folder / "all.ndjson", count=2_000, seed=3, duplicates=0.02)
    parts = (folder / "all.ndjson").read_text().splitlines(keepends=True)
    with watching(folder) as found:
        for n in range(4):
            (folder / "data" / f"{n}.ndjson").write_text("".join(parts[500 * n : 500 * n + 500]))
            wanted = 500 * n + 500
            found.until(lambda wanted=wanted: found.read == wanted)  # type: ignore[misc]
    with Session(load_project(folder)) as session:
        watched_rows = table(session.destination, "events")
        session.destination.query("drop schema raw cascade")
        session.destination.query("drop schema penstock cascade")
    assert penstock(folder, "load", "--quiet").returncode == 0
    with Session(load_project(folder)) as session:
        assert table(session.destination, "events") == watched_rows


@pytest.mark.slow
def test_killed_again_and_again(make: Callable[..., Path], rabbitmq_url: str) -> None:
    """Killed at random while files are dropped: each record lands once, and each is on the queue."""
    folder = make(rabbitmq=rabbitmq_url)
    draw = random.Random(4)
    dropped = 0
    for _ in range(4):
        started = [
            subprocess.Popen([sys.executable, "-m", "penstock", "watch", "data", *options], cwd=folder)
            for options in ((), ("--publish",))
        ]
        until = time.monotonic() + draw.uniform(1.5, 3.5)
        while time.monotonic() < until:
            (folder / "data" / f"{dropped}.tmp").write_text(lines(100 * dropped, 100 * dropped + 100))
            os.rename(folder / "data" / f"{dropped}.tmp", folder / "data" / f"{dropped}.ndjson")
            dropped += 1
            time.sleep(0.2)
        for process in started:
            process.kill()
            process.wait()
    assert penstock(folder, "watch", "--once").returncode == 0
    assert penstock(folder, "watch", "--once", "--publish").returncode == 0
    assert numbers(folder) == list(range(100 * dropped))
    assert {m["n"] for m in messages(rabbitmq_url)} == set(range(100 * dropped))


def test_command(make: Callable[..., Path]) -> None:
    """It runs until SIGTERM, and ends well."""
    folder = make()
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock", "watch", "data"], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        assert json.loads(process.stderr.readline())["event"] == "watching"
        (folder / "data" / "a.ndjson").write_text(lines(0, 3))
        landed = json.loads(process.stderr.readline())
        assert (landed["event"], landed["stream"], landed["read"], landed["landed"]) == ("landed", "events", 3, 3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    assert numbers(folder) == [0, 1, 2]


def test_once_tells_what_failed(make: Callable[..., Path]) -> None:
    """The exit code is that of ``penstock load``."""
    folder = make()
    (folder / "data" / "a.ndjson").write_text(lines(0, 3) + '{"n": ')
    (folder / "data" / "b.json.gz").write_bytes(b"broken")
    done = penstock(folder, "watch", "--once", "--json")
    said = json.loads(done.stdout)
    assert done.returncode == SourceError.exit_code
    assert (said["landed"], said["quarantined"]) == (3, 1)
    assert [Path(path).name for path in said["failed"]] == ["b.json.gz"]


def test_which_stream(make: Callable[..., Path], tmp_path: Path) -> None:
    """The one whose files are in the folder; any other folder needs the stream's name."""
    project = load_project(make())
    (tmp_path / "data" / "deep").mkdir()
    (tmp_path / "else").mkdir()
    for inside in (None, tmp_path / "data", tmp_path / "data" / "deep", tmp_path):
        assert watched(project, inside, None) == [("events", "files")]
    with pytest.raises(UsageError, match="no stream's files"):
        watched(project, tmp_path / "else", None)
    with pytest.raises(UsageError, match="no such folder"):
        watched(project, tmp_path / "nowhere", None)
    with pytest.raises(UsageError, match="no stream 'event'"):
        watched(project, None, "event")
    assert watched(project, tmp_path / "else", "events") == [("events", UNNAMED)]


def test_a_folder_of_no_source(make: Callable[..., Path]) -> None:
    """With the stream's name, all files in it land there; the stream's other folders are left alone."""
    folder = make()
    (folder / "in[1]").mkdir()
    (folder / "in[1]" / "a.ndjson").write_text(lines(0, 3))
    (folder / "data" / "b.ndjson").write_text(lines(3, 5))
    with watching(folder, source=UNNAMED, directory=folder / "in[1]") as found:
        found.until(lambda: found.landed == 3)
    assert numbers(folder) == [0, 1, 2]


def test_a_part_of_a_source(make: Callable[..., Path]) -> None:
    """Only what is in the folder named."""
    folder = make()
    for name in ("a", "b"):
        (folder / "data" / name).mkdir()
    (folder / "data" / "a" / "x.ndjson").write_text(lines(0, 3))
    (folder / "data" / "b" / "x.ndjson").write_text(lines(3, 5))
    with watching(folder, directory=folder / "data" / "a") as found:
        found.until(lambda: found.landed == 3)
        time.sleep(0.6)
    assert numbers(folder) == [0, 1, 2]


@pytest.mark.slow
def test_many_files(make: Callable[..., Path]) -> None:
    """More than are taken together, one of them broken in the middle."""
    folder = make()
    for n in range(450):
        (folder / "data" / f"{n:04}.ndjson").write_text(lines(n, n + 1))
    (folder / "data" / "0222x.json.gz").write_bytes(b"broken")
    with watching(folder) as found:
        found.until(lambda: found.landed == 450 and len(found.watcher.failures) == 1)
    assert numbers(folder) == list(range(450))
