"""What dbt needs beside the user's project: a profile, and the ``penstock`` package where dbt looks for packages."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from penstock.destinations.kinds import DBT_SECRET, kind_of
from penstock.errors import UsageError
from penstock.transform.plain_dbt import (
    is_written_here,
    link_package,
    local_packages,
    own_content,
    write_profile,
)

if TYPE_CHECKING:
    from penstock.project import Project

FOLDER = ".penstock"
_GENERATED = {FOLDER, ".git", ".venv"}
_BESIDE = {"target", "logs", "dbt_packages", "data", "dags", "questions"}
_AT_ROOT = (
    "dbt_project.yml",
    "packages.yml",
    "dependencies.yml",
    "package-lock.yml",
    "selectors.yml",
    "profiles.yml",
)
_PATHS = {
    "model-paths": ["models"],
    "seed-paths": ["seeds"],
    "snapshot-paths": ["snapshots"],
    "test-paths": ["tests"],
    "macro-paths": ["macros"],
    "analysis-paths": ["analyses"],
    "function-paths": ["functions"],
    "docs-paths": [],
}
"""dbt's settings of where it reads, with what holds without them; by default ``docs-paths`` are all of the others."""
_VARIABLE = re.compile(r"env_var\(\s*['\"](\w+)['\"]")
_SOURCE_SUFFIXES = {".sql", ".yml", ".yaml", ".md", ".csv", ".py"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Where dbt finds what it needs, and the variables it needs to be started with."""

    project: Path
    profiles: Path
    profile_target: str
    target_path: Path
    log_path: Path
    environment: Mapping[str, str]


def prepare_workspace(project: Project) -> Workspace:
    """Write ``.penstock/`` beside the project file, and what plain dbt needs: ``packages.yml`` and ``profiles.yml``. A
    profile holds no secret: it names a variable.

    A ``profiles.yml`` of the user's own, in the project folder or in ``DBT_PROFILES_DIR``, is used instead;
    it has to have a target of the destination's name.

    Raises:
        UsageError: ``dbt_project.yml`` is unreadable.
    """
    folder = project.directory / FOLDER
    folder.mkdir(exist_ok=True)
    link_package(project.directory, package_folder())
    profiles = _own_profiles(project.directory)
    environment: dict[str, str] = {}
    if profiles is None:
        profiles = folder
        output, environment = _output(project)
        name = _profile_name(project)
        profile = {name: {"target": project.target, "outputs": {project.target: output}}}
        text = "# Written by penstock from penstock.yml; changes are lost.\n" + yaml.safe_dump(profile, sort_keys=False)
        _write_if_changed(folder / "profiles.yml", text)
        write_profile(project.directory, name, project.target, output)
    return Workspace(
        project=project.directory,
        profiles=profiles,
        profile_target=project.target,
        target_path=folder / "dbt" / project.target,
        log_path=folder / "logs",
        environment=environment,
    )


def scratch_workspace(project: Project, folder: Path) -> Workspace:
    """What dbt needs to build the project's models in its destination as it is now, with all that it writes in
    ``folder``: the user's own profiles are not asked.

    Raises:
        UsageError: ``dbt_project.yml`` is unreadable.
    """
    link_package(project.directory, package_folder())
    output, environment = _output(project)
    profile = {_profile_name(project): {"target": project.target, "outputs": {project.target: output}}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "profiles.yml").write_text(yaml.safe_dump(profile), encoding="utf-8")
    return Workspace(
        project=project.directory,
        profiles=folder,
        profile_target=project.target,
        target_path=folder / "target",
        log_path=folder / "logs",
        environment=environment,
    )


def project_fingerprint(project: Project) -> str:
    """SHA-256 over all that dbt reads: the project's sources, the package's, and the destination."""
    # how long a process waits for another changes nothing in the warehouse
    destination = kind_of(project.destination).unwaiting(project.destination)
    digest = hashlib.sha256(repr((project.target, str(destination))).encode())
    lake = None if project.lake is None else project.lake.path
    for root in (project.directory, package_folder()):
        for path in sorted(dbt_sources(root, lake)):
            if not (content := own_content(path)):
                continue
            digest.update(f"{os.path.relpath(path, root)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def _output(project: Project) -> tuple[dict[str, Any], dict[str, str]]:
    """The destination as dbt has it, and the variables that it names."""
    threads = project.transform.threads if project.transform else 1
    return kind_of(project.destination).dbt_output(project.destination, threads)


def environment_fingerprint(project: Project, fingerprint: str) -> str:
    """SHA-256 over ``fingerprint``, which is :func:`project_fingerprint`'s, and the variables of the environment that
    the project's files name or that change what dbt does."""
    lake = None if project.lake is None else project.lake.path
    names = {name for name in os.environ if name.startswith("DBT_") and not name.startswith(DBT_SECRET)}
    for path in dbt_sources(project.directory, lake):
        if path.suffix != ".csv":
            names.update(_VARIABLE.findall(path.read_text(encoding="utf-8", errors="replace")))
    digest = hashlib.sha256(fingerprint.encode())
    for name in sorted(names):
        digest.update(f"{name}\0{os.environ.get(name)}\0".encode())
    return digest.hexdigest()


def has_own_profile(project: Project) -> bool:
    """Whether dbt goes by a ``profiles.yml`` that is not of Penstock's making."""
    return _own_profiles(project.directory) is not None


def package_folder() -> Path:
    """The dbt package, as installed."""
    return Path(str(files("penstock"))) / "dbt"


def dbt_sources(root: Path, lake: Path | None) -> list[Path]:
    """The files of a project, or of the package, that dbt reads: in the folders that its ``dbt_project.yml`` names, and
    those beside that file, and those of the packages that people have in a folder of theirs. Data that lie in the
    project's folder are none of them, nor is the lake."""
    return list(dict.fromkeys(p for top in (root, *local_packages(root)) for p in _sources_of(top, lake)))


def _sources_of(root: Path, lake: Path | None) -> list[Path]:
    paths = [root / name for name in _AT_ROOT if (root / name).is_file() and not is_written_here(root / name)]
    for folder, folders, names in (entry for top in _dbt_folders(root) for entry in os.walk(top)):
        left_out = _GENERATED | (_BESIDE if Path(folder) == root else set())
        folders[:] = [f for f in folders if f not in left_out and Path(folder) / f != lake]
        paths += [Path(folder) / n for n in names if Path(n).suffix in _SOURCE_SUFFIXES and not _is_settings(n)]
    return paths


def _dbt_folders(root: Path) -> list[Path]:
    """Where dbt looks for models, seeds, tests and the like; the whole project where that cannot be told."""
    try:
        settings = yaml.safe_load((root / "dbt_project.yml").read_text(encoding="utf-8"))
        named = [settings.get(kind, default) for kind, default in _PATHS.items()]
        folders = [str(path) for paths in named for path in paths]
    except (OSError, ValueError, yaml.YAMLError, AttributeError, TypeError):
        return [root]
    if any("{{" in path for path in folders):
        return [root]
    # what lies in another one would be read twice
    whole = sorted({Path(os.path.normpath(root / path)) for path in folders})
    return [path for path in whole if not any(other in path.parents for other in whole)]


def _is_settings(name: str) -> bool:
    """Whether a file is ``penstock.yml`` or an environment's: dbt reads none of them."""
    return name.startswith("penstock.") and name.endswith(".yml")


def _own_profiles(directory: Path) -> Path | None:
    if (path := directory / "profiles.yml").is_file() and not is_written_here(path):
        return directory
    named = os.environ.get("DBT_PROFILES_DIR")
    return Path(named) if named and (Path(named) / "profiles.yml").is_file() else None


def _profile_name(project: Project) -> str:
    path = project.directory / "dbt_project.yml"
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        return str(settings["profile"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as e:
        raise UsageError(
            f"no profile can be read from it: {e}", where=str(path), fix="add a line: profile: penstock"
        ) from None


def _write_if_changed(path: Path, text: str) -> None:
    """Leave an equal file alone: dbt parses everything anew when its profile is younger."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
