"""Pseudonyms: keyed, versioned, beside the fields that a stream marks, and never the key itself."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from penstock.doctor.examine import _check_keys
from penstock.errors import ProjectError, UsageError
from penstock.land.session import Session
from penstock.ports import Batch, Segment
from penstock.project import load_project
from penstock.pseudonym import Keys
from penstock.schema import Schema
from penstock.shape.shaper import Shaper
from penstock.spec import StreamSpec

KEYS = Keys(current="v1", secrets={"v1": b"sixteen letters of key", "v0": b"an older key of the project"})


def shaped(shaper: Shaper, *records: dict[str, Any], schema: Schema | None = None) -> Any:
    """Shape records."""
    bodies = pa.array([json.dumps(r).encode() for r in records], pa.binary())
    batch = Batch(bodies=bodies, segments=[Segment(start=0, place="test", number=1)])
    return shaper.shape(batch, schema or Schema())


def pseudonym(text: str) -> str:
    """What the standard library makes of it."""
    return "v1:" + hmac.new(KEYS.secrets["v1"], text.encode(), "sha256").hexdigest()


@pytest.fixture
def shaper() -> Iterator[Shaper]:
    """One of a stream with four personal fields."""
    opened = Shaper(StreamSpec(stream="s", pii=("email", "phone", "home", "born"), keys=KEYS), threads=1)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("key", "text", "found"),
    [
        (b"\x0b" * 20, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            b"\xaa" * 131,
            "Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ],
)
def test_vectors(key: bytes, text: str, found: str) -> None:
    """The vectors of RFC 4231 hold for a single value and for a column."""
    keys = Keys(current="v9", secrets={"v9": key})
    assert keys.pseudonym(text) == f"v9:{found}"
    one = Shaper(StreamSpec(stream="s", pii=("t",), keys=keys), threads=1)
    try:
        assert shaped(one, {"t": text}).rows["t_pseudonym"].to_pylist() == [f"v9:{found}"]
    finally:
        one.close()


def test_columns(shaper: Shaper) -> None:
    """Each personal field has its pseudonym beside it, of its text, in the row that it belongs to; others have none."""
    records = [{"n": n, "email": f"a{n}@é.example", "phone": n, "city": "Oslo"} for n in range(5_000)]
    records[7]["email"] = None
    found = shaped(shaper, *records)
    assert [c.name for c in found.schema.columns if c.type == "pseudonym"] == ["email_pseudonym", "phone_pseudonym"]
    rows = found.rows.select(["n", "email_pseudonym", "phone_pseudonym"]).to_pylist()
    assert len(rows) == 5_000
    for row in rows:
        n = row["n"]
        assert row["email_pseudonym"] == (None if n == 7 else pseudonym(f"a{n}@é.example"))
        assert row["phone_pseudonym"] == pseudonym(str(n))


def test_growth(shaper: Shaper) -> None:
    """A personal field that comes later brings its pseudonym along, and the columns before stay where they are."""
    first = shaped(shaper, {"k": 1, "email": "a"})
    second = shaped(shaper, {"k": 2, "email": "b", "home": {"b": 1, "a": [2]}, "x": 1}, schema=first.schema)
    names = [c.name for c in second.schema.columns]
    assert names == ["k", "email", "email_pseudonym", "home", "x", "home_pseudonym"]
    assert second.schema.version > first.schema.version
    assert second.rows["home_pseudonym"].to_pylist() == [pseudonym('{"a":[2],"b":1}')]
    third = shaped(shaper, {"k": 3, "email": "c"}, schema=second.schema)
    assert third.schema == second.schema
    assert third.rows["home_pseudonym"].to_pylist() == [None]


def test_names_that_meet(shaper: Shaper) -> None:
    """A field named like a pseudonym gets another column, whichever comes first."""
    both = shaped(shaper, {"email": "a", "email_pseudonym": "mine"})
    of = {c.name: c.type for c in both.schema.columns if c.field == "email"}
    assert both.rows["email_pseudonym"].to_pylist() == ["mine"]
    (name,) = (n for n, t in of.items() if t == "pseudonym")
    assert both.rows[name].to_pylist() == [pseudonym("a")]
    before = shaped(shaper, {"email": "a"})
    after = shaped(shaper, {"email": "b", "email_pseudonym": "mine"}, schema=before.schema)
    assert after.rows["email_pseudonym"].to_pylist() == [pseudonym("b")]
    (other,) = (c.name for c in after.schema.columns if c.field == "email_pseudonym")
    assert after.rows[other].to_pylist() == ["mine"]


def test_no_longer_personal(shaper: Shaper) -> None:
    """A field that is no longer marked keeps its column of pseudonyms, which stays empty, and needs no key."""
    marked = shaped(shaper, {"email": "a"})
    unmarked = Shaper(StreamSpec(stream="s"), threads=1)
    try:
        rows = shaped(unmarked, {"email": "b"}, schema=marked.schema).rows
    finally:
        unmarked.close()
    assert rows["email_pseudonym"].to_pylist() == [None]


def test_same_for_every_lane(shaper: Shaper) -> None:
    """A record that takes the careful lane has the same pseudonyms."""
    plain = shaped(shaper, {"email": "a", "n": 1})
    careful = Batch(
        bodies=pa.array([b'{"email":"a","n":1.0000000000000000000001}'], pa.binary()),
        segments=[Segment(start=0, place="test", number=1)],
    )
    assert shaper.shape(careful, plain.schema).rows["email_pseudonym"].to_pylist() == [pseudonym("a")]


def test_keys_are_not_shown() -> None:
    """No key is in a text made of keys, rules or an error."""
    shown = f"{KEYS!r} {KEYS} {StreamSpec(stream='s', keys=KEYS)!r}"
    with pytest.raises(UsageError) as e:
        KEYS.pseudonym("a", "v7")
    for secret in KEYS.secrets.values():
        assert secret.decode() not in f"{shown} {e.value}"
    assert "v7" in str(e.value)


PROJECT = """
name: p
destinations: {local: {type: duckdb, path: w.duckdb}}
sources: {files: {type: files, path: data/**}}
streams: {s: {from: files, pii: [email], subject: {customer: id}}, other: {from: files}}
"""


def project(folder: Path, privacy: str, **variables: str) -> Any:
    """Load a project with these lines about privacy."""
    (folder / "penstock.yml").write_text(f"{PROJECT}{privacy}\n")
    return load_project(folder, environ=variables)


def test_a_key_that_is_not_set(tmp_path: Path) -> None:
    """A key's variable may be missing until something needs the key, which then says what to do."""
    loaded = project(tmp_path, "privacy: {keys: {v1: '${PII_KEY}'}}")
    with Session(loaded) as session:
        session.project.spec("other")
        with pytest.raises(UsageError, match=r"stream s has pii:.*privacy key v1 is not set"):
            session.project.spec("s")
    loaded = project(tmp_path, "privacy: {keys: {v1: '${PII_KEY}'}}", PII_KEY="0123456789abcdef-secret")
    with Session(loaded) as session:
        assert session.project.spec("s").keys == Keys(current="v1", secrets={"v1": b"0123456789abcdef-secret"})
    assert "0123456789abcdef" not in json.dumps(loaded.masked())
    with pytest.raises(ProjectError) as e:
        project(tmp_path, "privacy: {keys: {v1: '${PII_KEY}'}}", PII_KEY="too-short")
    assert "privacy.keys.v1" in str(e.value) and "16" in str(e.value) and "too-short" not in str(e.value)


def test_doctor(tmp_path: Path) -> None:
    """The doctor tells whether the key is there, and never what it is."""
    missing, *_ = _check_keys(project(tmp_path, "privacy: {keys: {v1: '${PII_KEY}'}}"))
    assert not missing.ok and "privacy key v1 is not set" in missing.detail
    (there,) = _check_keys(project(tmp_path, "privacy: {keys: {v1: '${PII_KEY}'}}", PII_KEY="0123456789abcdef"))
    assert there.ok and there.detail == "v1; v1 is the current one"


def test_which_key(tmp_path: Path) -> None:
    """With several keys one is the current one, set or not; old ones that are not set are not needed."""
    two = "privacy: {keys: {v1: '${OLD}', v2: '${NEW}'}, current: v2}"
    keys = project(tmp_path, two, NEW="0123456789abcdef").privacy.known_keys()
    assert keys.current == "v2" and keys.secrets.keys() == {"v2"}
    with pytest.raises(UsageError, match="privacy key v2 is not set"):
        project(tmp_path, two, OLD="0123456789abcdef").privacy.needed_keys("x")
    with pytest.raises(ProjectError, match="none is the current one"):
        project(tmp_path, "privacy: {keys: {v1: '${OLD}', v2: '${NEW}'}}")
    with pytest.raises(ProjectError, match="there is no key 'v3'"):
        project(tmp_path, "privacy: {keys: {v1: 0123456789abcdef}, current: v3}")
    with pytest.raises(ProjectError, match="cannot name a key"):
        project(tmp_path, "privacy: {keys: {'v:1': 0123456789abcdef}}")
