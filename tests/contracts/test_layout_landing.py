"""Flat streams and dropped fields, landed: whichever way records come, on every destination."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import UsageError
from penstock.land.loop import Stop, load
from penstock.land.session import Session
from penstock.layout import Layout
from penstock.ports import Destination
from penstock.project import load_project
from penstock.project.steps import LoadStep
from penstock.runs.plan import plan_loads
from penstock.sources.kinds import Until, consume_source
from penstock.spec import StreamSpec
from tests.support.queues import a_queue, publish
from tests.support.warehouse import land, ledger, quarantined, table, write_files

TYPES = (("login_uuid", "text"), ("n_first", "text"), ("n_age", "bigint"), ("at_lat", "decimal(9,6)"))
DROP = ("login_password", "login_hash")


def _records(count: int) -> list[dict[str, Any]]:
    return [
        {
            "login": {"uuid": f"u{i}", "password": f"hush{i}", "hash": {"sha": f"hush{i}"}},
            "n": {"first": f"é{i}" if i % 3 else None, "age": i},
            "at": {"lat": f"{i}.25"},
        }
        for i in range(count)
    ]


def _flat(record: dict[str, Any], between: str, before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in record.items():
        found |= _flat(value, between, f"{before}{key}{between}") if isinstance(value, dict) else {before + key: value}
    return found


def _csv(records: list[dict[str, Any]], between: str) -> bytes:
    rows = [_flat(r, between) for r in records]
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _all_bytes(destination: Destination) -> bytes:
    """Every value of every table of the warehouse."""
    names = destination.query(
        "select table_schema, table_name from information_schema.tables where table_schema in ('raw', 'penstock')"
    ).rows
    text = b""
    for schema, name in names:
        for row in destination.query(f'select * from {schema}."{name}"').rows:
            text += b"".join(bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode() for v in row)
    return text


def test_the_same_rows_by_every_file(destination: Destination, tmp_path: Path) -> None:
    """Law 2: lines, an array, mixed key orders, CSV by either kind of name; and nothing of what is dropped."""
    records = _records(60)
    mixed = [dict(reversed(list(r.items()))) if i % 2 else r for i, r in enumerate(records)]
    spellings = {
        "lines": {"a.ndjson": b"\n".join(json.dumps(r).encode() for r in records)},
        "array": {"a.json": json.dumps(mixed, indent=1, ensure_ascii=False).encode()},
        "points": {"a.csv": _csv(records, ".")},
        "flat": {"a.csv": _csv(records, "_")},
    }
    seen = {}
    for stream, files in spellings.items():
        write_files(tmp_path / stream, files)
        layout = Layout(flatten=True, drop=DROP)
        land(
            destination,
            tmp_path / stream,
            StreamSpec(stream=stream, identity=("login_uuid",), declared=TYPES, layout=layout),
            batch_bytes=2_000,
        )
        seen[stream] = table(destination, stream)
    assert all(rows == seen["lines"] for rows in seen.values())
    assert len(seen["lines"]) == 60
    assert sorted(seen["lines"][0]) == sorted(["_pen_id", "_pen_rescued", *(name for name, _ in TYPES)])
    assert b"hush" not in _all_bytes(destination)


@pytest.mark.parametrize("flatten", [False, True])
def test_identity_by_content_leaves_out_what_is_dropped(
    destination: Destination, tmp_path: Path, flatten: bool
) -> None:
    """A record again with another password is a duplicate; one that differs elsewhere is not; rejects are counted."""
    first = {"id": 1, "o": {"p": "hush1", "q": 1}}
    lines = [first, {"id": 1, "o": {"p": "hush2", "q": 1}}, {"o": {"q": 1}, "id": 1}, {"id": 1, "o": {"q": 2}}]
    body = b"\n".join(json.dumps(line).encode() for line in lines) + b'\n{"id":1,"o":{"p":"hush3"\n'
    write_files(tmp_path / "in", {"a.ndjson": body})
    layout = Layout(flatten=flatten, drop=("o_p",) if flatten else ("o.p",))
    for _ in range(2):
        land(destination, tmp_path / "in", StreamSpec(stream="s", layout=layout), fingerprint=False)
    assert ledger(destination, "s")[0] == (5, 2, 2, 1)
    assert len(table(destination, "s")) == 2
    [(note, code)] = quarantined(destination, "s").items()
    assert code == "invalid_json"
    assert note.startswith(b"withheld: 24 bytes of ")
    assert b"hush" not in _all_bytes(destination)


def _project(folder: Path, stream: str, source: str = "{type: files, path: in}") -> Session:
    (folder / "penstock.yml").write_text(
        "name: p\ndestinations: {local: {type: duckdb, path: w.duckdb}}\n"
        f"sources: {{s: {source}}}\nstreams: {{users: {{from: s, {stream}}}}}\n"
    )
    return Session(load_project(folder, environ={}))


def test_by_queue_as_by_file(rabbitmq_url: str, tmp_path: Path) -> None:
    """Law 2 over a queue: what came by file before is a duplicate, and passwords are not in quarantine either."""
    stream = "flatten: true, identity: [login.uuid], drop: [login.password, login.hash], columns: {at.lat: double}"
    bodies = [json.dumps(r).encode() for r in _records(20)]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(_csv(_records(10), "."))
    with _project(tmp_path, stream) as session:
        session.load(LoadStep(stream="users", source="s"))
    settings = a_queue(rabbitmq_url, "classic")
    publish(settings, [*bodies, b'{"login":{"uuid":null,"password":"hush"}}'])
    with _project(
        tmp_path, stream, f"{{type: rabbitmq, url: '{rabbitmq_url}', queue: {settings.queue}, queue_type: classic}}"
    ) as session:
        [step] = plan_loads(session.project)
        with consume_source(session.project, step, Until(empty=True)) as source:
            target = step.target(session.project)
            landed = load(source, session.destination, session.shapers("users"), target, stop=Stop())
        assert [landed.total(n) for n in ("read", "landed", "duplicates", "quarantined")] == [21, 10, 10, 1]
        found = session.destination.query("select count(*), sum(at_lat) from raw.users").rows
        assert found == [(20, sum(i + 0.25 for i in range(20)))]
        assert b"hush" not in _all_bytes(session.destination)


def test_merge_by_a_nested_version(tmp_path: Path) -> None:
    """Key, version and declared columns may be named by their paths, or flat."""
    lines = [{"k": {"id": 1}, "m": {"at": at}, "v": at} for at in (2, 3, 1)]
    write_files(tmp_path / "in", {"a.ndjson": b"\n".join(json.dumps(line).encode() for line in lines)})
    for n, version in enumerate(("m.at", "m_at")):
        stream = f"flatten: true, identity: [k.id], disposition: merge, version: {version}, columns: {{m.at: bigint}}"
        with _project(tmp_path, stream) as session:
            landed = session.load(LoadStep(stream="users", source="s", fingerprint=False))
            assert landed.total("landed") == (1 if n == 0 else 0)
            assert session.destination.query("select v from raw.users").rows == [(3,)]


def test_content_told_otherwise_is_refused(tmp_path: Path) -> None:
    """With identity content, another drop or flatten would double the rows: it is refused. With a key it is not."""
    for identity, refused in (("content", True), ("[c]", False)):
        folder = tmp_path / ("content" if refused else "key")
        write_files(folder / "in", {"a.ndjson": b'{"a":{"b":1},"c":2}\n'})
        with _project(folder, f"identity: {identity}") as session:
            session.load(LoadStep(stream="users", source="s"))
        with _project(folder, f"identity: {identity}, drop: [a.b]") as session:
            step = LoadStep(stream="users", source="s", fingerprint=False)
            if refused:
                with pytest.raises(UsageError, match=r"content without a\.b"):
                    session.load(step)
            else:
                assert session.load(step).total("duplicates") == 1
