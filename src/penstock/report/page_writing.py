"""Writes a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from penstock.errors import UsageError


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` so that who reads ``path`` meanwhile sees the old file or the new one.

    Raises:
        UsageError: it cannot be written there.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as e:
        new.unlink(missing_ok=True)
        raise UsageError(
            f"the report cannot be written: {e.strerror or e}", where=str(path), fix="name another file: --output FILE"
        ) from None
