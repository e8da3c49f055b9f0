"""Landing in a lake, and loading from it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from penstock.lake.lake_landing import into_lake
from penstock.lake.lake_writer import LakeWriter
from penstock.land.loop import Landed, into_warehouse, load
from penstock.ports import Destination, Target, Window
from penstock.records.lake_files import Format
from penstock.shape.shaper import Shaper
from penstock.sources.files.source import FilesSource
from penstock.sources.lake.source import LakeSource
from penstock.spec import StreamSpec


def land_in(
    lake: Path, format_: Format, destination: Destination, folder: Path, rules: StreamSpec, **more: Any
) -> Landed:
    """Land every file in ``folder``, and write what it held to the lake."""
    writer = LakeWriter(lake, rules.stream, format_, warehouse="test", **more.pop("writer", {}))
    disposition = more.get("disposition", "append")
    source = FilesSource("files", ["**"], root=folder, refresh=disposition == "replace", window=more.get("window"))
    return load_source(source, destination, rules, lake=writer, **more)


def load_from(lake: Path, destination: Destination, rules: StreamSpec, **more: Any) -> Landed:
    """Land what the lake has of the stream."""
    source = LakeSource(rules.stream, folder=lake, refresh=more.get("disposition") == "replace")
    return load_source(source, destination, rules, **more)


def load_source(
    source: Any,
    destination: Destination,
    rules: StreamSpec,
    *,
    disposition: Any = "append",
    window: Window | None = None,
    lake: LakeWriter | None = None,
) -> Landed:
    """Land what a source gives; raise what it could not read."""
    spec = replace(rules, disposition=disposition)
    shaper = Shaper(spec, threads=1)
    try:
        landings = into_warehouse if lake is None else partial(into_lake, lake)
        target = Target(spec=spec, source=source.name)
        landed = load(source, destination, shaper, target, window=window, landings=landings)
    finally:
        shaper.close()
    if landed.failure is not None:
        raise landed.failure
    return landed
