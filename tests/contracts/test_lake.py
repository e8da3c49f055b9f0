"""Law 2 over the lake: what was landed in flat files gives the same rows and the same quarantine again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from penstock.lake.writer import LakeWriter
from penstock.ports import Destination, Target
from penstock.run import Landed, load
from penstock.shape.shaper import Rules, Shaper
from penstock.sources.files import FilesSource
from penstock.sources.lake import LakeSource
from tests.contracts.test_hostile_input import CASES
from tests.warehouse import MAY_DIFFER, ledger, quarantined, table, write_files

FORMATS = ["ndjson", "csv", "parquet"]


def _load(destination: Destination, source: Any, rules: Rules, lake: LakeWriter | None = None, **more: Any) -> Landed:
    shaper = Shaper(rules, threads=1)
    try:
        target = Target(stream=rules.stream, source=source.name, version=rules.version, **more)
        return load(source, destination, shaper, target, lake=lake)
    finally:
        shaper.close()


def _rows(destination: Destination, stream: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in r.items() if k not in MAY_DIFFER} for r in table(destination, stream)]


def _files(folder: Path) -> FilesSource:
    return FilesSource("files", ["**"], root=folder)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """The lake's folder."""
    return tmp_path / "lake"


def _outcome(destination: Destination, stream: str) -> tuple[Any, ...]:
    return _rows(destination, stream), quarantined(destination, stream), ledger(destination, stream)


@pytest.mark.parametrize("format_", FORMATS)
def test_hostile_input_comes_back(both: list[Destination], tmp_path: Path, lake: Path, format_: Any) -> None:
    """Whatever came, the lake gives the same rows, rejects and counts as the files it came in, on both destinations."""
    files = {f"{i:02}-{case.file}": case.content for i, case in enumerate(CASES)}
    odd = b'{"a": {\n "b": [1,\n 2]}}\n{"a":\n 1, "a":\n 2}\n{"c": "x\r\ny", "d": {"e": null, "F g": {}}}\n\xff\xfe\n'
    write_files(tmp_path / "in", {"00.json": odd, **files})
    for destination in both:
        writer = LakeWriter(lake, "s", format_, warehouse="w")
        landed = _load(destination, _files(tmp_path / "in"), Rules(stream="s"), writer)
        assert landed.total("quarantined") > 20 and landed.total("landed") > 15
        shutil.rmtree(lake / "again", ignore_errors=True)
        (lake / "s").rename(lake / "again")
        _load(destination, LakeSource("again", folder=lake), Rules(stream="again"))
        assert _outcome(destination, "again") == _outcome(destination, "s")
    assert not list(lake.rglob("*.part"))
