"""The settings of the lake. Names, types and docstrings here are the reference that users read."""

from __future__ import annotations

from typing import Literal

from penstock.project.sources import SourceSettings
from penstock.project.values import ProjectPath


class Lake(SourceSettings):
    """Flat files of what was fetched, from which it can be loaded again without asking its source.

    Streams with `land: true` are written to it; `from: lake` reads it.
    """

    path: ProjectPath
    """The lake's folder, relative to the project's. Made when it is missing."""
    format: Literal["ndjson", "csv", "parquet"] = "ndjson"
    """What is written. `ndjson` has the records as they came; `csv` and `parquet` have a column for each value, and the
    record beside them. Whatever the format, files in all of them are read."""
    compression: Literal["none", "gzip", "zstd"] = "none"
    """How NDJSON and CSV files are compressed. Parquet compresses by itself."""

    @property
    def type(self) -> Literal["lake"]:
        """Which kind of source this is."""
        return "lake"
