"""Which models may not be built as they ask to be: told by their SQL, and kept for whoever builds them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.transform.manifest import Manifest, Resource, listed
from penstock.transform.steps import has_kept_models
from penstock.transform.workspace import FOLDER
from penstock.version import __version__

if TYPE_CHECKING:
    from penstock.ports import Destination
    from penstock.project import Project
    from penstock.transform.dbt import Dbt
    from penstock.transform.scopes.tables import Lookup, Read

UNSAFE_MODELS = "PENSTOCK_UNSAFE_MODELS"
"""The variable by which the materialization is told, as JSON: the id of a model → why."""
_HISTORY = "/*_pen_history"
"""How the SQL of the macro ``history`` starts."""


def unsafe_models(project: Project, dbt: Dbt, dialect: str, fingerprint: str) -> Mapping[str, str]:
    """The ids of the models whose scope or sums are not safe → why, with the fix. They are looked at once for each
    state of the project and of its environment, which is what ``fingerprint`` is of, by each version of Penstock."""
    fingerprint = f"{__version__} {fingerprint}"
    if not _asking(dbt.manifest):
        return {}
    path = _path(project)
    kept = _kept(path)
    if kept.get("fingerprint") == fingerprint:
        known: Mapping[str, str] = kept["unsafe"]
        return known
    looked_at = look_at(dbt, dialect)
    if None not in looked_at.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"fingerprint": fingerprint, "unsafe": told(looked_at)}), encoding="utf-8")
    return told(looked_at)


def look_at(dbt: Dbt, dialect: str) -> dict[str, str | None]:
    """The ids of the models that ask to be built by a scope, by moving sums, or whole → why they may not; empty when
    they may, and None where their SQL cannot be compiled now."""
    asking = _asking(dbt.manifest)
    compiled = dbt.compiled([resource.name for resource in asking]) if asking else {}
    looked_at: dict[str, str | None] = {}
    for model in dbt.manifest.in_order(resource.id for resource in asking):  # what it reads has been looked at
        sql, unsafe = compiled.get(model.id), {id_ for id_, why in looked_at.items() if why != ""}
        if sql is not None:
            looked_at[model.id] = look(model, sql, dbt.manifest, dialect, unsafe) or ""
        else:
            looked_at[model.id] = "" if model.whole else None
    return looked_at


def told(looked_at: Mapping[str, str | None]) -> dict[str, str]:
    """Those of them that may not, with why."""
    reasons = {id_: "its SQL cannot be compiled" if why is None else why for id_, why in looked_at.items()}
    return {id_: why for id_, why in reasons.items() if why}


def _asking(manifest: Manifest) -> list[Resource]:
    return [model for model in manifest.of_kinds(["model"]) if model.scope or model.additive or model.whole]


def known_unsafe(project: Project) -> Mapping[str, str]:
    """What was seen when the models were built last."""
    unsafe: Mapping[str, str] = _kept(_path(project)).get("unsafe", {})
    return unsafe


def read_reasons(destination: Destination, manifest: Manifest) -> Mapping[str, str]:
    """The ids of the models that are built whole although they ask for less → why, as they were built last."""
    if not has_kept_models(destination):
        return {}
    ids = {resource.watermark: resource.id for resource in manifest.of_kinds(["model"])}
    # without a fingerprint somebody else has built it, with dbt alone
    rows = destination.query(
        "select model, reason from penstock_changes.models where reason <> '' and fingerprint <> '' order by model"
    ).rows
    return {ids[model]: str(reason) for model, reason in rows if model in ids}


def notes_of(unsafe: Mapping[str, str]) -> list[str]:
    """What there is to tell of them, a sentence each."""
    return [f"{id_.rpartition('.')[2]} is built whole with each step: {why}" for id_, why in sorted(unsafe.items())]


def look(model: Resource, sql: str, manifest: Manifest, dialect: str, unsafe: Collection[str] = ()) -> str | None:
    """Why a model may not be built by its scope, or by moving its sums; None when it may. Of a model that is built
    whole anyway: why changes go unnoticed. ``unsafe`` are the ids of the models before it that may not."""
    from penstock.transform.scopes.strangers import unnoticed
    from penstock.transform.scopes.sums import unsafe_sums
    from penstock.transform.scopes.unsafe import unsafe_scope

    if model.scope is not None:
        refs: dict[str, Read] = dict(_refs(model, model.scope.sources, model.scope.columns, manifest))
        return unsafe_scope(sql, model.scope.columns, refs, dialect)
    tables = {read.watermark: read for read in _tables(model, manifest)}
    if model.additive:
        return unsafe_sums(sql, model.additive, {name: _counts(read, unsafe) for name, read in tables.items()}, dialect)
    return None if sql.lstrip().startswith(_HISTORY) else unnoticed(sql, [model.watermark, *tables], dialect)


def _counts(read: Resource, unsafe: Collection[str]) -> Collection[str]:
    """The columns of a table that count rows: what is named as such where it was looked at."""
    return {read.additive[0].lower()} if read.additive and read.id not in unsafe else ()


def _tables(model: Resource, manifest: Manifest) -> Iterator[Resource]:
    """The tables that a model reads: an ephemeral model's SQL is a part of its own."""
    for id_ in model.reads:
        resource = manifest.resources.get(id_)
        if resource is not None and resource.materialized == "ephemeral":
            yield from _tables(resource, manifest)
        elif resource is not None:
            yield resource


def _refs(
    model: Resource, sources: Mapping[str, Any], scope: Sequence[str], manifest: Manifest
) -> Iterator[tuple[str, Read]]:
    """The tables that a model reads, and how."""
    for resource in _tables(model, manifest):
        name = resource.table if resource.kind == "source" else resource.name
        by = sources.get(name, scope)
        yield resource.watermark, _lookup(by) if isinstance(by, Mapping) else listed(by)


def _lookup(by: Mapping[str, Any]) -> Lookup:
    from penstock.transform.scopes.tables import Lookup

    return Lookup(through=str(by["through"]), on=listed(by["on"]), their=listed(by.get("their") or by["on"]))


def _path(project: Project) -> Path:
    return project.directory / FOLDER / "dbt" / project.target / "unsafe_models.json"


def _kept(path: Path) -> Mapping[str, Any]:
    try:
        kept: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept
