"""What of a dbt project one layer is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.errors import UsageError
from penstock.transform.layers import Layer, find_layer

if TYPE_CHECKING:
    from penstock.transform.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What of a project is to be built, in dbt's selectors; by default all of it.

    ``paths`` take in the layer's models with their tests, ``tests`` are those that its models alone do not bring along,
    and ``later`` are tests that also read what is built after it. ``ids`` are those of all that the layer has.
    """

    paths: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    ids: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def selectors(self) -> tuple[str, ...]:
        """All that the layer has."""
        return (*self.paths, *self.tests)

    def of(self, selectors: Sequence[str]) -> list[str]:
        """What of these selectors lies in the layer."""
        return [f"{s},{own}" for s in selectors for own in self.selectors] if self.paths else list(selectors)

    def holds(self, id_: str) -> bool:
        """Whether a resource is of it."""
        return not self.paths or id_ in self.ids


def layer_part(manifest: Manifest, layers: Sequence[Layer], name: str, directory: Path) -> Part:
    """The layer of this name. A test belongs to the last of the layers that it reads.

    Raises:
        UsageError: no such layer, or a model of it reads one that is built later, which its text does not tell.
    """
    at = find_layer(layers, name, directory)
    home = {
        id_: next((i for i, layer in enumerate(layers) if layer.holds(resource.file)), None)
        for id_, resource in manifest.resources.items()
        if resource.kind not in ("source", "test", "unit_test")
    }
    tests: list[str] = []
    later: list[str] = []
    ids: set[str] = set()
    for id_, resource in manifest.resources.items():
        reads = _homes(resource.reads, home)
        last = max(reads, default=0)
        if resource.kind == "test":
            if last > at:
                later.append(f"fqn:{resource.name}")
            elif last == at:
                ids.add(id_)
                if set(reads) != {at}:
                    tests.append(f"fqn:{resource.name}")
        elif resource.kind == "unit_test":
            if reads == [at]:
                ids.add(id_)
        elif home.get(id_) == at:
            ids.add(id_)
            if last > at:
                raise UsageError(
                    f"model {resource.name} of layer {name} reads layer {layers[last].name},"
                    " which its text does not say",
                    where=str(directory / resource.file),
                    fix="name what it reads in a comment of the model: -- depends_on: {{ ref('that_model') }}",
                )
    paths = tuple(f"path:{p}" for p in layers[at].paths)
    return Part(paths=paths, tests=tuple(tests), later=tuple(later), ids=frozenset(ids))


def _homes(reads: Sequence[str], home: Mapping[str, int | None]) -> list[int]:
    return [i for i in (home.get(parent) for parent in reads) if i is not None]
