"""How the lake's files are named, and what their names tell."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

Format = Literal["ndjson", "csv", "parquet"]
Compression = Literal["none", "gzip", "zstd"]

RECORD = "_pen_record"
"""The column of CSV and Parquet files that has the whole record, as it came."""

SOURCE = "lake"
"""The source under which the ledger keeps the lake's files as positions."""

FOLDER = "folder"
"""Where in such a position the lake's folder stands: the ledger knows every lake, wherever it is."""

_SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}
_FILE = re.compile(r"_?(?P<load>\d{8}T\d{12}Z-[0-9a-f]{6})-\d{3,}(?P<texts>-texts)?(?P<rest>-rest)?\.[a-z.]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeFile:
    """What a file's name tells: the load it is of, whether its values are texts without a type, and whether it holds
    what has no place in its format (``rest``)."""

    load: str
    texts: bool
    rest: bool


def parse(path: Path | str) -> LakeFile | None:
    """What the name of ``path`` tells; None when it is not the lake's."""
    parts = _FILE.fullmatch(Path(path).name)
    if parts is None:
        return None
    return LakeFile(load=parts["load"], texts=parts["texts"] is not None, rest=parts["rest"] is not None)


def load_name(began: datetime, token: str) -> str:
    """The part of a name that a load's files share. Names sort by the time at which their loads began (UTC)."""
    return f"{began:%Y%m%dT%H%M%S%f}Z-{token}"


def place_of(stream: str, began: datetime, name: str) -> str:
    """A file's path inside the lake's folder."""
    return f"{stream}/date={began:%Y-%m-%d}/{name}"


def file_name(load: str, number: int, format: Format, compression: Compression, *, texts: bool, rest: bool) -> str:
    """The name of a load's file. What other tools should not read starts with ``_``."""
    marks = ("-texts" if texts else "") + ("-rest" if rest else "")
    suffix = "ndjson" if rest else format
    return f"{'_' if rest else ''}{load}-{number:03}{marks}.{suffix}{_SUFFIXES[compression]}"


def warehouse_mark(warehouse: str) -> str:
    """Tells the unfinished files of one warehouse's loads from those of another that uses the same folder."""
    return hashlib.sha256(warehouse.encode()).hexdigest()[:8]


def hidden_name(mark: str, name: str) -> str:
    """The name of a file that is not complete."""
    return f".{mark}-{name}.part"


def name_of_hidden(mark: str, hidden: str) -> str | None:
    """The reverse of :func:`hidden_name`; None for the file of another warehouse."""
    head = f".{mark}-"
    return hidden[len(head) : -len(".part")] if hidden.startswith(head) and hidden.endswith(".part") else None
