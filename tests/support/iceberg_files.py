"""What the files of a warehouse of Iceberg tables hold, whoever names them: rows, statistics, and bytes as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from penstock.destinations.spark.reachable import Reachable, digest, path_of, versions


def unnamed(catalog: Any, folder: Path) -> list[Path]:
    """The files of the warehouse that no table names."""
    named: set[bytes] = set()
    for table in _tables(catalog):
        named |= Reachable(table, table.metadata.snapshots).digests
        named |= {digest(path_of(file)) for file in versions(table)}
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return [path for path in files if digest(str(path)) not in named]


def holding(catalog: Any, folder: Path, wanted: Sequence[bytes]) -> list[str]:
    """Where any of these bytes is: in a file as it is, in a value of one of Parquet, wherever that is in the folder, or
    in what a manifest says of a file, also of one that is gone. Files but those of Parquet have to be named, or nobody
    can tell what they hold: see :func:`unnamed`."""
    places = {path.name for path in folder.rglob("*") if path.is_file() and _has(path.read_bytes(), wanted)}
    for path in folder.rglob("*.parquet"):
        values = pq.read_table(path, partitioning=None).to_pydict().values()
        if _has(str(list(values)).encode(), wanted):
            places.add(path.name)
    for table in _tables(catalog):
        for manifest, text in _statistics(table):
            if _has(text, wanted):
                places.add(manifest)
    return sorted(places)


def _has(content: bytes, wanted: Sequence[bytes]) -> bool:
    return any(text in content for text in wanted)


def _tables(catalog: Any) -> list[Any]:
    return [catalog.load_table(name) for space in catalog.list_namespaces() for name in catalog.list_tables(space)]


def _statistics(table: Any) -> Iterator[tuple[str, bytes]]:
    """Manifest → what it says of each of its files."""
    for snapshot in table.metadata.snapshots:
        for manifest in snapshot.manifests(table.io):
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
                file = entry.data_file
                bounds = [*(file.lower_bounds or {}).values(), *(file.upper_bounds or {}).values()]
                yield manifest.manifest_path, b"\n".join([*bounds, str(file.partition).encode()])
