"""What cannot be read stops nothing beside it: it is told, the exit code is 4, and it is tried again."""

from __future__ import annotations

import gc
import gzip
import json
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from penstock.errors import ContractError, DestinationError, SourceError, together
from penstock.land.loop import Landed, Stop, load
from penstock.land.session import Session
from penstock.ledger.run_records import read_run
from penstock.logs import captured
from penstock.ports import Destination, Target
from penstock.project import load_project
from penstock.runs.watch import Watcher
from penstock.shape.shaper import Shaper
from penstock.sources.files.source import FilesSource
from penstock.spec import StreamSpec
from tests.support.fixtures import EMBEDDED
from tests.support.invoked import command
from tests.support.scheduled import scheduled
from tests.support.trips import PROJECT as TRIPS
from tests.support.warehouse import ledger, table, write_files

SOUND = {f"{i:02}.csv": b"n\n%d\n" % i for i in range(0, 20, 2)}
NOWHERE = "01.ndjson"
"""A link to what is not there."""
BAD = {
    "03.csv": "n\n3\n".encode("utf-16"),
    "05.csv": b"n,n\n5,5\n",
    "07.csv.gz": gzip.compress(b"n\n" + b"7\n" * 999, mtime=0)[:-12],
    "09.parquet": b"PAR1 no",
    "11.ndjson.zst": b"no zstd",
    "13": b"no format",
    "15.csv": "größe\n15\n".encode("latin-1"),
}


def _load(destination: Destination, folder: Path, disposition: Any = "append") -> Landed:
    source = FilesSource("files", ["**"], root=folder, refresh=disposition == "replace", batch_bytes=64)
    spec = StreamSpec(stream="s", disposition=disposition)
    shaper = Shaper(spec, threads=1)
    try:
        return load(source, destination, shaper, Target(spec=spec, source="files"))
    finally:
        shaper.close()


def _numbers(destination: Destination) -> list[int]:
    return sorted(row["n"] for row in table(destination, "s"))


def test_bad_files_among_sound_ones(destination: Destination, tmp_path: Path) -> None:
    """All sound files land, each bad one is a failure that names it, and only these are read by the next load."""
    write_files(tmp_path / "in", SOUND | BAD)
    (tmp_path / "in" / NOWHERE).symlink_to("nowhere")
    landed = _load(destination, tmp_path / "in")
    assert set(_numbers(destination)) - {7} == set(range(0, 20, 2))
    assert [e.where for e in landed.failures] == sorted([NOWHERE, *BAD]) and all(e.fix for e in landed.failures)
    again = _load(destination, tmp_path / "in")
    assert sorted(again.skipped) == sorted(SOUND)
    assert [e.where for e in again.failures] == sorted([NOWHERE, *BAD])
    (tmp_path / "in" / NOWHERE).unlink()
    write_files(tmp_path / "in", SOUND | {"03.csv": b"n\n3\n"})
    mended = _load(destination, tmp_path / "in")
    assert (mended.failures, mended.total("landed")) == ([], 1)
    for read, *kept in ledger(destination, "s"):
        assert read == sum(kept)


def test_a_refresh_that_is_not_whole(destination: Destination, tmp_path: Path) -> None:
    """It replaces nothing: rows that are in the file that cannot be read are not deleted."""
    write_files(tmp_path / "in", {"a.csv": b"n\n1\n", "b.csv": b"n\n2\n"})
    assert not _load(destination, tmp_path / "in", "replace").kept
    for bad in (BAD["07.csv.gz"], b"no gzip"):
        write_files(tmp_path / "in", {"a.csv": b"n\n7\n", "b.csv.gz": bad, "c.csv": b"n\n8\n"})
        landed = _load(destination, tmp_path / "in", "replace")
        assert landed.kept and not landed.receipts and [e.where for e in landed.failures] == ["b.csv.gz"]
        assert _numbers(destination) == [1, 2]
    write_files(tmp_path / "in", {"a.csv": b"n\n7\n"})
    _load(destination, tmp_path / "in", "replace")
    assert _numbers(destination) == [7]


def _project(folder: Path, **streams: Any) -> Path:
    """Each stream from its own folder."""
    settings = {
        "name": "beside",
        "destinations": {"here": EMBEDDED},
        "sources": {
            f"{name}_files": {"type": "files", "path": f"{name}/**", "settle_seconds": 0.05} for name in streams
        },
        "streams": {name: {"from": f"{name}_files", **stream} for name, stream in streams.items()},
        "transform": False,
    }
    folder.mkdir(exist_ok=True)
    (folder / "penstock.yml").write_text(json.dumps(settings))
    return folder


FROZEN = {"contract": "freeze", "columns": {"n": "bigint"}}


def test_streams_beside_one_that_fails(tmp_path: Path) -> None:
    """They are loaded whichever way it fails; each failure is told, the worst gives the exit code, and the ledger has
    the run and its steps as failed, each with what was landed and why."""
    project = _project(tmp_path, a=FROZEN, b={}, c={}, d={})
    write_files(tmp_path / "a", {"1.ndjson": b'{"n": 1, "odd": 2}\n'})
    write_files(tmp_path / "b", {"1.csv": b"n\n1\n", "2.csv": b"n,n\n", "3.csv": b"n\n3\n"})
    write_files(tmp_path / "d", {"1.ndjson": b'{"n": 4}\n'})
    done = command(project, "load", "--json")
    assert done.code == ContractError.exit_code
    report = json.loads(done.out)
    assert [bool(part.get("error")) for part in report["loads"]] == [True, True, True, False]
    assert report["loads"][1]["landed"] == 2
    [failure] = report["loads"][1]["failures"]
    assert failure["where"] == "b/2.csv" and "twice" in failure["what"] and failure["fix"]
    with Session(load_project(project)) as session:
        run = read_run(session.destination.query, report["run"])
    assert run is not None and run["status"] == "error"
    assert [(s["name"], s["status"], s["landed"]) for s in run["steps"]] == [
        ("a", "error", None),
        ("b", "error", 2),
        ("c", "error", None),
        ("d", "success", 1),
    ]
    assert "b/2.csv" in run["steps"][1]["error"] and run["steps"][1]["fix"]
    assert command(project, "load", "b", "d").code == SourceError.exit_code
    assert "1 skipped: landed before, 1 not read" not in command(project, "load", "b").out
    assert "2 skipped: landed before, 1 not read" in command(project, "load", "b").out


def test_looking_says_what_cannot_be_read(tmp_path: Path) -> None:
    """``doctor`` names every such file; ``explain`` those that it had to open."""
    project = _project(tmp_path, b={})
    write_files(tmp_path / "b", {"1.csv": b"n\n1\n", "2.csv": "n".encode("utf-16"), "3": b"no format"})
    found = json.loads(command(project, "doctor", "--json").out)
    [said] = [str(check) for check in found if "source b_files" in str(check)]
    assert "b/2.csv" in said and "b/3" in said
    (tmp_path / "b" / os.fsdecode(b"4\xff.csv")).write_bytes(b"n\n4\n")
    [step] = json.loads(command(project, "explain", "--json").out)["steps"]
    assert [f["place"] for f in step["files"] if f["action"] == "fail"] == ["b/4\\xff.csv"]
    assert "cannot read 1 file" in command(project, "explain").out


def test_a_watcher_goes_on(tmp_path: Path) -> None:
    """It takes the sound files, names those that it cannot take, and says of a file that it knows, or that is empty,
    that it brought nothing; what landed is told with its file."""
    project = _project(tmp_path, b={})
    write_files(tmp_path / "b", {"1.csv": b"n\n1\n", "2.csv": b"n,n\n", "4.csv": b"n\n", "3.csv": b"n\n3\n"})
    known: list[tuple[str, list[str]]] = []
    files: list[list[str]] = []

    def watch() -> Watcher:
        watcher = Watcher(
            load_project(project),
            "b",
            "b_files",
            once=True,
            stop=Stop(),
            on_commit=lambda _: files.append(sorted(watcher.files)),
            on_known=lambda why, names: known.append((why, sorted(names))),
        )
        watcher.run()
        return watcher

    with captured() as records:
        assert [path.name for path in watch().failures] == ["2.csv"]
    assert files == [["b/1.csv", "b/3.csv"]] and known == [("no records", ["b/4.csv"])]
    [landed] = [r for r in records if r["event"] == "landed"]
    assert landed["files"] == "b/1.csv, b/3.csv"
    write_files(tmp_path / "b", {"1.csv": b"n\n1\n", "copy.csv": b"n\n1\n"})
    known.clear()
    watch()
    assert known == [("landed before", ["b/1.csv", "b/copy.csv"])]
    shown = command(project, "watch", "--once").out
    assert "b: landed before: b/1.csv, b/copy.csv" in shown and "nothing new" in shown
    write_files(tmp_path / "b", {"5.csv": b"n\n5\n"})
    assert "1 landed, 0 duplicates, 0 quarantined (b/5.csv)" in command(project, "watch", "--once").out


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([SourceError("a")], SourceError),
        ([SourceError("a"), SourceError("b")], SourceError),
        ([SourceError("a"), ContractError("b"), DestinationError("c")], ContractError),
    ],
)
def test_errors_together(errors: list[Any], kind: type) -> None:
    """Several errors are one that names each, of the class of the first that does not pass by itself."""
    one = together(errors)
    assert type(one) is kind and all(error.what in str(one) for error in errors)


def test_a_schedule_tells_it(tmp_path: Path) -> None:
    """A run by the clock loads the sound files and is a failed one, for the file that it names."""
    project = _project(tmp_path, b={})
    settings = json.loads((project / "penstock.yml").read_text()) | {"schedule": {"every": "1d"}}
    (project / "penstock.yml").write_text(json.dumps(settings))
    write_files(tmp_path / "b", {"1.csv": b"n\n1\n", "2.csv": b"n,n\n", "3.csv": b"n\n3\n"})
    with scheduled(load_project(project)) as job:
        (step,) = job.loads.steps
        request = job.ask([step])
        assert request.done.wait(60)
    assert request.run is not None and request.run["status"] == "error"
    (entry,) = request.run["steps"]
    assert (entry["status"], entry["landed"]) == ("error", 2) and "b/2.csv" in entry["error"]


def test_models_of_what_landed(tmp_path: Path) -> None:
    """They are built though a file could not be read, and the command fails all the same."""
    project = tmp_path / "trips"
    shutil.copytree(TRIPS, project, ignore=shutil.ignore_patterns(".penstock", "*.duckdb*"))
    data = next((project / "data").rglob("*.*")).parent
    (data / "0.csv").write_bytes(b"n,n\n")
    done = command(project, "run", "--json")
    report = json.loads(done.out)
    assert done.code == SourceError.exit_code
    assert any(part.get("failures") for part in report["loads"])
    assert {n["status"] for n in report["transform"]["nodes"] if n["kind"] == "model"} == {"success"}


@pytest.mark.parametrize("pattern", ["data", "data/**/*.csv", "data/*/*.csv"])
@pytest.mark.parametrize("refresh", [False, True])
def test_a_folder_that_may_not_be_listed(pattern: str, refresh: bool) -> None:
    """What is in it is not known: it is told, what is beside it is read, and a refresh is not whole."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        write_files(root / "data", {"open/a.csv": b"n\n1\n", "closed/b.csv": b"n\n2\n"})
        (root / "data" / "closed").chmod(0o000)
        source = FilesSource("files", [pattern], root=root, refresh=refresh)
        me = os.geteuid()
        if me == 0:
            gc.collect()  # what others left behind is root's to clear away
            os.seteuid(65534)  # root may list everything, and nobody may not
        try:
            plans = source.plan({})
            batches = list(source.read({}))
        finally:
            os.seteuid(me)
            (root / "data" / "closed").chmod(0o755)
    assert [(p.place, p.action) for p in plans] == [("data/closed", "fail"), ("data/open/a.csv", "read")]
    assert [b.as_py() for batch in batches for b in batch.bodies] == [b'{"n":"1"}']
    assert [(e.where, "cannot be listed" in e.what) for e in source.failures] == [("data/closed", True)]


def test_a_folder_that_links_back_to_one_above(tmp_path: Path) -> None:
    """What is behind such a link has been seen: each file is read once, and nothing fails."""
    write_files(tmp_path / "data", {"a.csv": b"n\n1\n", "sub/b.csv": b"n\n2\n", "sub/c.csv": b"n\n3\n"})
    (tmp_path / "data" / "sub" / "up").symlink_to("..")
    (tmp_path / "data" / "self").symlink_to(".")
    (tmp_path / "data" / "beside").symlink_to("sub")
    source = FilesSource("files", ["data"], root=tmp_path)
    assert [p.place for p in source.plan({})] == [
        "data/a.csv", "data/beside/b.csv", "data/beside/c.csv", "data/sub/b.csv", "data/sub/c.csv",
    ]  # fmt: skip
    assert sum(len(batch.bodies) for batch in source.read({})) == 5
    assert source.failures == []


def test_failures_are_told_each_with_its_fix() -> None:
    """What fails twice for one reason is told once, and of very many the first are."""
    one, other = (SourceError(f"what {n}", where=f"file {n}", fix=f"mend {n}") for n in "ab")
    assert str(together([one, other, one])).splitlines() == [
        "2 failures", "  - file a: what a", "    fix: mend a", "  - file b: what b", "    fix: mend b",
        "  fix: each as it says",
    ]  # fmt: skip
    many = together([SourceError("what", where=f"file {n}", fix="mend") for n in range(60)])
    assert str(many).splitlines()[-2:] == ["  and 10 more", "  fix: mend"]


def test_a_folder_that_may_be_listed_and_not_entered() -> None:
    """Its files are told, each, and what is beside them is read."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        write_files(root / "data", {"a.csv": b"n\n1\n", "shut/b.csv": b"n\n2\n"})
        (root / "data" / "shut").chmod(0o744)
        source = FilesSource("files", ["data"], root=root)
        me = os.geteuid()
        if me == 0:
            gc.collect()
            os.seteuid(65534)
        else:
            (root / "data" / "shut").chmod(0o400)
        try:
            batches = list(source.read({}))
        finally:
            os.seteuid(me)
            (root / "data" / "shut").chmod(0o755)
    assert [b.as_py() for batch in batches for b in batch.bodies] == [b'{"n":"1"}']
    assert [e.where for e in source.failures] == ["data/shut/b.csv"]
