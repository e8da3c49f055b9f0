"""The whole project of the page on Data Vault."""

from __future__ import annotations

from pathlib import Path

from tests.support.documents import DOCS, Reader


def test_the_whole_project(tmp_path: Path) -> None:
    """Its files are all that it needs, and a late move comes out in its place."""
    with Reader(tmp_path) as reader:
        reader.follow(DOCS / "vault.md")
