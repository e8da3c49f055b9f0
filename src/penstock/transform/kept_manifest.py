"""The manifest of models whose fingerprint is known: one process parses, and those after it read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.transform.manifest import Manifest

NAME = "manifest.json"
"""dbt's own name of the file."""
_FINGERPRINT = "manifest.fingerprint"
"""The file beside it that says what was parsed."""


def kept_manifest(folder: Path, fingerprint: str) -> Manifest | None:
    """What dbt wrote into ``folder`` when it parsed the files of this fingerprint; None when that was of others."""
    try:
        if not fingerprint or (folder / _FINGERPRINT).read_text(encoding="utf-8") != fingerprint:
            return None
        return Manifest.of(json.loads((folder / NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError):
        return None


@contextmanager
def keep_manifest(folder: Path, fingerprint: str) -> Iterator[None]:
    """Have :func:`kept_manifest` know what dbt parses and writes in the block."""
    (folder / _FINGERPRINT).unlink(missing_ok=True)
    yield
    if fingerprint and (folder / NAME).is_file():
        (folder / _FINGERPRINT).write_text(fingerprint, encoding="utf-8")
