"""The names of what sources read, as OpenLineage's naming conventions have them.

| dataset | namespace | name |
|---|---|---|
| files | ``file`` | the folder or file, absolute |
| API | ``https://host:port`` | the path |
| queue | ``amqp://host:port`` | ``vhost/queue`` |
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetName:
    """The name of a dataset, and where it is."""

    namespace: str
    name: str
    uri: str


def file_dataset(path: Path) -> DatasetName:
    """A file, or a folder of files."""
    whole = os.path.normpath(path.absolute())
    return DatasetName(namespace="file", name=whole, uri=Path(whole).as_uri())
