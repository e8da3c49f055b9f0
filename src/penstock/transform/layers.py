"""The layers of a dbt project, in the order to build them, told from its files alone: dbt is neither asked nor needed.

A layer is what lies in one folder of the models. Which layer reads which is told by the ``ref(...)`` in its files; what
dbt could not tell from the text either has to be said there, as dbt asks: ``-- depends_on: {{ ref('model') }}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from penstock.errors import UsageError

PROJECT_FILE = "dbt_project.yml"

_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_REF = re.compile(r"""\bref\(\s*(['"])(?P<first>[^'"]+)\1(?:\s*,\s*(['"])(?P<second>[^'"]+)\3)?""")
_SNAPSHOT = re.compile(r"\{%-?\s*snapshot\s+(\w+)")
_VERSION = re.compile(r"_v\d+$")
_SUFFIXES = {"model-paths": {".sql", ".py"}, "snapshot-paths": {".sql", ".yml", ".yaml"}, "seed-paths": {".csv"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one dbt process builds. ``paths`` are relative to the project, as dbt's ``path:`` takes them."""

    name: str
    paths: tuple[str, ...]

    def holds(self, file: str) -> bool:
        """Whether the file, relative to the project, is of this layer."""
        path = PurePosixPath(file)
        return any(path.match(p) if "*" in p else path.is_relative_to(p) for p in self.paths)


def layers_of(directory: Path) -> tuple[Layer, ...]:
    """The layers of the dbt project in ``directory``, each after those it reads.

    Folders that read each other are one layer, which is named for both.

    Raises:
        UsageError: ``dbt_project.yml`` is unreadable.
    """
    paths: dict[str, set[str]] = {}
    names: dict[str, str] = {}
    refs: dict[str, set[str]] = {}
    for folder, path, named, read in _files(directory):
        paths.setdefault(folder, set()).add(path)
        names |= dict.fromkeys(named, folder)
        refs.setdefault(folder, set()).update(read)
    above = _ancestors({f: {names[r] for r in read if r in names} - {f} for f, read in refs.items()})
    groups = {f: frozenset({f, *(other for other in above[f] if f in above[other])}) for f in paths}
    # whoever reads a layer has it, and all that it reads, above: so it has more
    ordered = sorted(set(groups.values()), key=lambda g: (len(set().union(*(above[f] for f in g)) | g), sorted(g)))
    return tuple(
        Layer(name="-".join(sorted(g)), paths=tuple(sorted(set().union(*(paths[f] for f in g))))) for g in ordered
    )


def find_layer(layers: Sequence[Layer], name: str, directory: Path) -> int:
    """Where in ``layers`` the one of this name is.

    Raises:
        UsageError: there is none.
    """
    for i, layer in enumerate(layers):
        if layer.name == name:
            return i
    raise UsageError(
        f"no layer {name!r}",
        where=str(directory / PROJECT_FILE),
        fix=f"there is {', '.join(layer.name for layer in layers)}" if layers else "add a model",
    )


def _files(directory: Path) -> Iterator[tuple[str, str, set[str], set[str]]]:
    """Of each file that dbt builds something from: its folder, dbt's path to that, what it defines, what it reads."""
    settings = _settings(directory)
    for key, suffixes in _SUFFIXES.items():
        default = key.removesuffix("-paths") + "s"
        for root in settings.get(key) or [default]:
            for file in sorted((directory / root).rglob("*")):
                if file.suffix not in suffixes or not file.is_file():
                    continue
                parts = file.relative_to(directory / root).parts
                folder = parts[0] if len(parts) > 1 else PurePosixPath(root).name
                path = f"{root}/{parts[0]}" if len(parts) > 1 else f"{root}/*{file.suffix}"
                text = (
                    "" if key == "seed-paths" else _COMMENT.sub("", file.read_text(encoding="utf-8", errors="replace"))
                )
                named = _snapshots(file, text) if key == "snapshot-paths" else {file.stem, _VERSION.sub("", file.stem)}
                if named:
                    yield folder, path, named, {m["second"] or m["first"] for m in _REF.finditer(text)}


def _snapshots(file: Path, text: str) -> set[str]:
    if file.suffix == ".sql":
        return set(_SNAPSHOT.findall(text))
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        return set()  # dbt will say what is wrong with it
    snapshots = document.get("snapshots") if isinstance(document, dict) else None
    return {str(s["name"]) for s in snapshots or [] if isinstance(s, dict) and "name" in s and "relation" in s}


def _settings(directory: Path) -> dict[str, Any]:
    path = directory / PROJECT_FILE
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise UsageError(f"cannot be read: {e}", where=str(path), fix="mend the file") from None
    if not isinstance(settings, dict):
        raise UsageError("is no dbt project", where=str(path), fix="write settings as name: value")
    return settings


def _ancestors(reads: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """All that each layer reads, also through others."""
    above = {name: set(read) for name, read in reads.items()}
    for middle in above:
        for read in above.values():
            if middle in read:
                read |= above[middle]
    return above
