"""Which models may not be built as they ask to be: told by their SQL, and kept for whoever builds them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.transform.manifest import Manifest, Resource, listed
from penstock.transform.workspace import FOLDER

if TYPE_CHECKING:
    from penstock.ports import Destination
    from penstock.project import Project
    from penstock.transform.dbt import Dbt
    from penstock.transform.scopes.tables import Lookup, Read

UNSAFE_MODELS = "PENSTOCK_UNSAFE_MODELS"
"""The variable by which the materialization is told, as JSON: the id of a model → why."""


def unsafe_models(project: Project, dbt: Dbt, dialect: str, fingerprint: str) -> Mapping[str, str]:
    """The ids of the models whose scope or sums are not safe → why, with the fix. They are looked at once for each
    state of the project, which is what ``fingerprint`` is of."""
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
    """The ids of the models that ask to be built by a scope → why they may not; empty when they may, and None where
    their SQL cannot be compiled now."""
    asking = _asking(dbt.manifest)
    compiled = dbt.compiled([resource.name for resource in asking]) if asking else {}
    return {r.id: (look(r, compiled[r.id], dbt.manifest, dialect) or "") if r.id in compiled else None for r in asking}


def told(looked_at: Mapping[str, str | None]) -> dict[str, str]:
    """Those of them that may not, with why."""
    reasons = {id_: "its SQL cannot be compiled" if why is None else why for id_, why in looked_at.items()}
    return {id_: why for id_, why in reasons.items() if why}


def _asking(manifest: Manifest) -> list[Resource]:
    return [resource for resource in manifest.of_kinds(["model"]) if resource.scope or resource.additive]


def known_unsafe(project: Project) -> Mapping[str, str]:
    """What was seen when the models were built last."""
    unsafe: Mapping[str, str] = _kept(_path(project)).get("unsafe", {})
    return unsafe


def read_reasons(destination: Destination, manifest: Manifest) -> Mapping[str, str]:
    """The ids of the models that are built whole although they ask for less → why, as they were built last."""
    if not destination.query(
        "select 1 from information_schema.tables where table_schema = 'penstock_changes' and table_name = 'models'"
    ).rows:
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


def look(model: Resource, sql: str, manifest: Manifest, dialect: str) -> str | None:
    """Why a model may not be built by its scope, or by moving its sums; None when it may."""
    from penstock.transform.scopes.sums import unsafe_sums
    from penstock.transform.scopes.unsafe import unsafe_scope

    if model.scope is None:
        reads = [manifest.resources[id_] for id_ in model.reads if id_ in manifest.resources]
        return unsafe_sums(sql, model.additive, {r.additive[0].lower() for r in reads if r.additive}, dialect)
    refs: dict[str, Read] = dict(_refs(model, model.scope.sources, model.scope.columns, manifest))
    return unsafe_scope(sql, model.scope.columns, refs, dialect)


def _refs(
    model: Resource, sources: Mapping[str, Any], scope: Sequence[str], manifest: Manifest
) -> Iterator[tuple[str, Read]]:
    """The tables that a model reads, and how."""
    for id_ in model.reads:
        resource = manifest.resources.get(id_)
        if resource is None:
            continue
        if resource.materialized == "ephemeral":  # its SQL is a part of the model's
            yield from _refs(resource, sources, scope, manifest)
            continue
        name = resource.table if resource.kind == "source" else resource.name
        by = sources.get(name, scope)
        yield f"{resource.schema}.{resource.table}", _lookup(by) if isinstance(by, Mapping) else listed(by)


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
