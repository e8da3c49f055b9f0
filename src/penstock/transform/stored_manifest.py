"""The manifest that dbt wrote, read without starting dbt, while the project is no newer than it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.transform.kept_manifest import NAME
from penstock.transform.manifest import Manifest
from penstock.transform.workspace import FOLDER, dbt_sources

if TYPE_CHECKING:
    from penstock.project import Project


def read_manifest(project: Project) -> Manifest:
    """What dbt knows of the project: of one that has no dbt project, that there is nothing. dbt parses it only where a
    file of it is newer than what was written.

    Raises:
        TransformError: dbt cannot read the project.
    """
    if not project.has_models:
        return Manifest()
    stored = stored_manifest(project)
    if stored is not None:
        return stored
    from penstock.transform.dbt import open_dbt

    dbt = open_dbt(project)
    try:
        return dbt.manifest
    finally:
        dbt.release()


def stored_manifest(project: Project) -> Manifest | None:
    """What dbt wrote last, of the project as it is now; None when that was of another, or there is none."""
    path = project.directory / FOLDER / "dbt" / project.target / NAME
    try:
        manifest = Manifest.of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError):
        return None
    return None if _is_stale(manifest, path, project) else manifest


def _is_stale(manifest: Manifest, path: Path, project: Project) -> bool:
    """Whether a file of dbt's is younger than the manifest, or one of the manifest's is gone."""
    written, directory = path.stat().st_mtime, project.directory
    lake = None if project.lake is None else project.lake.path
    own = [resource.file for resource in manifest.resources.values() if resource.package == manifest.project]
    if any(not (directory / file).is_file() for file in own):
        return True
    times = (p.stat() for p in dbt_sources(directory, lake))
    return any(max(t.st_mtime, t.st_ctime) > written for t in times)
