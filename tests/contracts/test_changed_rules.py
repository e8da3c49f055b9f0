"""A stream's rules, changed after it has landed: what may change does, and what may not says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import UsageError
from penstock.land.loop import load
from penstock.ports import Destination, Target
from penstock.shape.shaper import Shaper
from penstock.sources.files.source import FilesSource
from penstock.spec import StreamSpec
from tests.support.warehouse import land, ledger, quarantined, table, write_files


def _land_as(destination: Destination, folder: Path, identity: tuple[str, ...], disposition: str) -> None:
    spec = StreamSpec(
        stream="s",
        identity=identity,
        sameness=f"[{', '.join(identity)}]" if identity else "content",
        disposition=disposition,  # type: ignore[arg-type]
    )
    target = Target(spec=spec, source="files")
    load(FilesSource("files", ["**"], root=folder, fingerprint=False), destination, Shaper(spec), target)


@pytest.mark.parametrize(
    ("identity", "disposition", "what"), [(("k",), "append", "identity"), ((), "replace", "disposition")]
)
def test_identity_and_disposition_stay(
    destination: Destination, tmp_path: Path, identity: tuple[str, ...], disposition: str, what: str
) -> None:
    """Another identity or disposition would double rows: it is refused, and nothing changes."""
    write_files(tmp_path / "in", {"f.ndjson": b'{"k":1,"a":1}\n{"k":1,"a":2}\n'})
    _land_as(destination, tmp_path / "in", (), "append")
    before = table(destination, "s")
    with pytest.raises(UsageError, match=what) as caught:
        _land_as(destination, tmp_path / "in", identity, disposition)
    assert "put" in caught.value.fix
    assert table(destination, "s") == before
    _land_as(destination, tmp_path / "in", (), "append")
    assert table(destination, "s") == before


def test_column_declared_later(destination: Destination, tmp_path: Path) -> None:
    """A field declared after the first landing gets its column, of the declared type, whatever the contract."""
    write_files(tmp_path / "in", {"1.ndjson": b'{"a":1}\n'})
    land(destination, tmp_path / "in", StreamSpec(stream="s", columns="reject"))
    write_files(tmp_path / "in", {"2.ndjson": b'{"a":2,"b":"7"}\n'})
    land(destination, tmp_path / "in", StreamSpec(stream="s", columns="reject"))
    assert quarantined(destination, "s") == {b'{"a":2,"b":"7"}': "contract"}
    write_files(tmp_path / "in", {"3.ndjson": b'{"a":3,"b":"8"}\n'})
    land(destination, tmp_path / "in", StreamSpec(stream="s", columns="reject", declared=(("b", "bigint"),)))
    assert {(r["a"], r["b"]) for r in table(destination, "s")} == {(1, None), (3, 8)}


def test_column_declared_otherwise(destination: Destination, tmp_path: Path) -> None:
    """A column keeps its type: to declare another one is refused, with both types named."""
    write_files(tmp_path / "in", {"1.ndjson": b'{"a":1}\n'})
    land(destination, tmp_path / "in", StreamSpec(stream="s"))
    write_files(tmp_path / "in", {"2.ndjson": b'{"a":2}\n'})
    with pytest.raises(UsageError, match=r"declared text.*bigint"):
        land(destination, tmp_path / "in", StreamSpec(stream="s", declared=(("a", "text"),)))


def test_a_refresh_that_only_deletes_is_in_the_ledger(destination: Destination, tmp_path: Path) -> None:
    """Models are rebuilt when a refresh shrank a stream, so the ledger has to tell."""
    rules = StreamSpec(stream="s")
    write_files(tmp_path / "in", {"f.ndjson": b'{"a":1}\n{"a":2}\n'})
    land(destination, tmp_path / "in", rules, disposition="replace")
    write_files(tmp_path / "in", {"f.ndjson": b'{"a":2}\n'})
    land(destination, tmp_path / "in", rules, disposition="replace")
    assert [r["a"] for r in table(destination, "s")] == [2]
    assert ledger(destination, "s") == [(2, 2, 0, 0), (1, 0, 1, 0)]
    deleted = destination.query("select deleted from penstock.loads order by seq").rows
    assert [d for (d,) in deleted] == [0, 1]
