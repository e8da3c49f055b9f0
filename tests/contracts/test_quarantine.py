"""Quarantine: what cannot land is kept whole, and lands after all once it can, on both destinations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from penstock import Session, load_project
from penstock.errors import UsageError
from penstock.ports import Destination
from penstock.runs.plan import plan_loads
from penstock.runs.quarantined import drop, entries
from penstock.runs.replay import replay
from penstock.spec import StreamSpec
from tests.support.api import Api, Said
from tests.support.fixtures import REFUSING
from tests.support.warehouse import forbid_13, land, ledger, quarantined, table, write_files

PROJECT = """
name: held
target: {kind}
destinations:
  duckdb: {{ type: duckdb, path: warehouse.duckdb, threads: 1 }}
  postgres: {{ type: postgres, url: "{url}" }}
sources:
  files: {{ type: files, path: "data/**" }}
streams:
  s: {{ from: files, {stream} }}
"""

Open = Callable[[str], Session]


@pytest.fixture(params=["duckdb", "postgres"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Open a project whose stream ``s`` has the settings given; always the same warehouse."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else "postgresql://nowhere/none"
    opened: list[Session] = []

    def open_it(stream: str) -> Session:
        for session in opened:
            session.close()
        (tmp_path / "penstock.yml").write_text(PROJECT.format(kind=request.param, url=url, stream=stream))
        opened.append(Session(load_project(tmp_path)))
        return opened[-1]

    yield open_it
    for session in opened:
        session.close()


def _load(session: Session, **files: bytes) -> None:
    write_files(session.project.directory / "data", {f"{n}.ndjson": content for n, content in files.items()})
    for step in plan_loads(session.project):
        session.load(step)


def _waiting(session: Session, **how: Any) -> list[bytes]:
    return sorted(e.body for e in entries(session.destination.query, stream="s", **how))


def _ids(session: Session) -> Sequence[Any]:
    return entries(session.destination.query, stream="s")


def test_entries(project: Open) -> None:
    """Entries keep the bytes, reason, origin and load; they are found by stream, reason and the start of an id."""
    session = project("identity: [k]")
    _load(session, f=b'{"k":1}\n{"a":  1}\n{"k":2,}\n')
    by_code = {e.code: e for e in entries(session.destination.query)}
    assert set(by_code) == {"missing_identity", "invalid_json"}
    entry = by_code["missing_identity"]
    assert (entry.body, entry.stream, entry.source, entry.state) == (b'{"a":  1}', "s", "files", "waiting")
    assert entry.origin == "data/f.ndjson#2" and "k" in entry.reason
    assert [e.id for e in entries(session.destination.query, reason="missing_identity")] == [entry.id]
    assert [e.id for e in entries(session.destination.query, ids=[str(entry.id)[:8]])] == [entry.id]
    assert entries(session.destination.query, stream="other") == []
    assert len(entries(session.destination.query, limit=1)) == 1
    with pytest.raises(UsageError):
        entries(session.destination.query, ids=["ffffffffff"])


def test_replay_lands_once_the_contract_allows_it(project: Open) -> None:
    """Replay under the old contract changes nothing; under the new one the records land as any other, once."""
    strict = "contract: { columns: reject, types: reject }"
    session = project(strict)
    _load(session, a=b'{"a":1}\n')
    _load(session, b=b'{"a":2,"new":"x"}\n{"a":"text"}\n{"a":3}\n')
    assert _waiting(session) == [b'{"a":"text"}', b'{"a":2,"new":"x"}']
    assert replay(session, _ids(session)) == [{"stream": "s", "replayed": 0, "waiting": 2}]
    assert len(_waiting(session)) == 2
    session = project("contract: { columns: evolve, types: rescue }")
    waiting = _ids(session)
    assert replay(session, waiting) == [{"stream": "s", "replayed": 2, "waiting": 0}]
    rows = {(r["a"], r["new"], str(r["_pen_rescued"])) for r in table(session.destination, "s")}
    assert rows == {(1, None, "None"), (2, "x", "None"), (3, None, "None"), (None, None, "{'a': 'text'}")}
    origins = {row[0] for row in session.destination.query("select _pen_origin from raw.s").rows}
    assert origins == {"data/a.ndjson#1", "data/b.ndjson#1", "data/b.ndjson#2", "data/b.ndjson#3"}
    assert [e.state for e in entries(session.destination.query, settled=True)] == ["replayed", "replayed"]
    before = table(session.destination, "s")
    replay(session, waiting)
    assert replay(session, _ids(session)) == []
    assert table(session.destination, "s") == before
    for read, landed, duplicates, rejected in ledger(session.destination, "s"):
        assert read == landed + duplicates + rejected


def test_drop(project: Open) -> None:
    """Dropped entries wait no longer, are not replayed, and keep their bytes."""
    session = project("identity: content")
    _load(session, f=b'{"a":1}\n{bad\n{worse\n')
    chosen = [e for e in entries(session.destination.query) if e.body == b"{bad"]
    drop(session.destination, chosen)
    assert _waiting(session) == [b"{worse"]
    assert _waiting(session, settled=True) == [b"{bad", b"{worse"]
    states = {e.body: e.state for e in entries(session.destination.query, settled=True)}
    assert states == {b"{bad": "dropped", b"{worse": "waiting"}


def test_replay_into_a_replaced_stream(project: Open) -> None:
    """A replay adds to a stream that loads replace; it deletes nothing."""
    session = project("identity: [k], disposition: replace, contract: { columns: rescue, types: reject }")
    _load(session, f=b'{"k":1,"a":1}\n{"k":2,"a":2}\n')
    _load(session, f=b'{"k":1,"a":1}\n{"k":3,"a":"x"}\n')
    session = project("identity: [k], disposition: replace")
    assert replay(session, _ids(session)) == [{"stream": "s", "replayed": 1, "waiting": 0}]
    assert sorted((r["k"], r["a"]) for r in table(session.destination, "s")) == [(1, 1), (3, None)]


def test_replay_of_a_stream_that_is_gone(project: Open) -> None:
    """Entries of a stream that the project no longer has say what to do."""
    session = project("identity: content")
    _load(session, f=b"{bad\n")
    waiting = _ids(session)
    path = session.project.directory / "penstock.yml"
    session.close()
    path.write_text(path.read_text().replace("  s:", "  t:"))
    with Session(load_project(path.parent)) as other, pytest.raises(UsageError, match="not in the project"):
        replay(other, waiting)


def test_csv_is_replayed_as_csv(project: Open) -> None:
    """A CSV row that was rejected lands typed like its neighbours when it is replayed."""
    session = project("contract: { columns: evolve, types: reject }")
    folder = session.project.directory / "data"
    write_files(folder, {"1.csv": b"a,b\n1,2\n"})
    session.load(plan_loads(session.project)[0])
    write_files(folder, {"2.csv": b"a,b\n3,x\n"})
    session.load(plan_loads(session.project)[0])
    assert len(_waiting(session)) == 1
    session = project("contract: { columns: evolve, types: rescue }")
    replay(session, _ids(session))
    found = sorted(((r["a"], r["b"], r["_pen_rescued"]) for r in table(session.destination, "s")), key=str)
    assert found == [(1, 2, None), (3, None, {"b": "x"})]


@pytest.mark.parametrize("destination", REFUSING, indirect=True)
@pytest.mark.parametrize("batch_bytes", [200, 1 << 20])
def test_only_culprits_are_held(destination: Destination, tmp_path: Path, batch_bytes: int) -> None:
    """When the destination refuses a batch, the rows to blame go to quarantine with its words; the others land."""
    write_files(tmp_path / "in", {"0.ndjson": b'{"a":0,"b":"first"}\n'})
    land(destination, tmp_path / "in", StreamSpec(stream="s"))
    forbid_13(destination)
    lines = [b'{"a":%d,"b":"%d"}' % (13 if n in (7, 99) else n + 100, n) for n in range(100)]
    write_files(tmp_path / "in", {"1.ndjson": b"\n".join(lines)})
    land(destination, tmp_path / "in", StreamSpec(stream="s"), batch_bytes=batch_bytes)
    assert quarantined(destination, "s") == {lines[n]: "destination_rejected" for n in (7, 99)}
    assert len(table(destination, "s")) == 99
    counts = ledger(destination, "s")[1:]
    assert tuple(map(sum, zip(*counts, strict=True))) == (100, 98, 0, 2)
    reason = entries(destination.query)[0].reason
    assert "check" in reason.lower()
    again = land(destination, tmp_path / "in", StreamSpec(stream="s"), fingerprint=False)
    assert (again.total("landed"), again.total("quarantined")) == (0, 0)


@pytest.mark.parametrize("destination", REFUSING, indirect=True)
def test_a_good_version_of_a_refused_key_lands(destination: Destination, tmp_path: Path) -> None:
    """In a merged stream only the refused version of a key is held, not the key."""
    rules = StreamSpec(stream="s", identity=("k",), version="v")
    write_files(tmp_path / "in", {"0.ndjson": b'{"k":0,"a":0,"v":0}\n'})
    land(destination, tmp_path / "in", rules, disposition="merge")
    forbid_13(destination)
    write_files(tmp_path / "in", {"1.ndjson": b'{"k":1,"a":13,"v":1}\n', "2.ndjson": b'{"k":1,"a":14,"v":2}\n'})
    land(destination, tmp_path / "in", rules, disposition="merge", batch_bytes=20)
    assert sorted((r["k"], r["a"]) for r in table(destination, "s")) == [(0, 0), (1, 14)]
    assert quarantined(destination, "s") == {b'{"k":1,"a":13,"v":1}': "destination_rejected"}


@pytest.mark.parametrize("destination", REFUSING, indirect=True)
@pytest.mark.parametrize("disposition", ["append", "merge"])
def test_a_refused_record_hides_no_other(destination: Destination, tmp_path: Path, disposition: str) -> None:
    """A sound record of the same identity, in the same batch as one that the destination refuses, is no duplicate."""
    merge = disposition == "merge"
    rules = StreamSpec(stream="s", identity=("k",), version="v" if merge else None)
    write_files(tmp_path / "in", {"0.ndjson": b'{"k":0,"a":0,"v":0}\n'})
    land(destination, tmp_path / "in", rules, disposition=disposition)
    forbid_13(destination)
    write_files(tmp_path / "in", {"1.ndjson": b'{"k":1,"a":13,"v":2}\n{"k":1,"a":14,"v":1}\n'})
    land(destination, tmp_path / "in", rules, disposition=disposition)
    assert sorted((r["k"], r["a"]) for r in table(destination, "s")) == [(0, 0), (1, 14)]
    assert quarantined(destination, "s") == {b'{"k":1,"a":13,"v":2}': "destination_rejected"}
    assert ledger(destination, "s")[1:] == [(2, 1, 0, 1)]


@pytest.mark.parametrize("destination", REFUSING, indirect=True)
def test_refused_rows_are_replayed(destination: Destination, tmp_path: Path) -> None:
    """What the destination refused waits until it takes it, and a replay it refuses again leaves it waiting."""
    write_files(tmp_path / "in", {"0.ndjson": b'{"a":0}\n'})
    land(destination, tmp_path / "in", StreamSpec(stream="s"))
    forbid_13(destination)
    write_files(tmp_path / "in", {"1.ndjson": b'{"a":13}\n{"a":14}\n'})
    land(destination, tmp_path / "in", StreamSpec(stream="s"))
    assert [e.body for e in entries(destination.query)] == [b'{"a":13}']


def test_texts_of_an_api_are_typed_when_they_are_replayed(tmp_path: Path) -> None:
    """CSV has no types, whichever way it came: a number in it is one after its quarantine, too."""
    settings = """
name: held
destinations: {{local: {{type: duckdb, path: warehouse.duckdb}}}}
sources: {{api: {{type: http, base_url: "{url}", format: csv, endpoints: {{s: {{}}}}}}}}
streams: {{s: {{from: api, identity: {identity}}}}}
"""
    with Api(lambda _: Said(body=b"id,n\nx,1\n,2\n", headers={"content-type": "text/csv"})) as api:
        for identity, landed in (("[id]", [1]), ("content", [1, 2])):
            (tmp_path / "penstock.yml").write_text(settings.format(url=api.url, identity=identity))
            with Session(load_project(tmp_path)) as session:
                if identity == "[id]":
                    session.load(*plan_loads(session.project))
                else:
                    session.destination.query("delete from penstock.streams")
                    replay(session, entries(session.destination.query))
                rows = session.destination.query("select n from raw.s order by n").rows
                assert [n for (n,) in rows] == landed
