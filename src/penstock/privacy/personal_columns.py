"""Which columns hold personal data, and which tell whom a row is about.

Streams say it in ``penstock.yml``. Of models, a column is personal when it has the name of a personal field of a stream
that the model reads, unless its YAML says ``meta: {pii: false}``; or when the YAML says ``meta: {pii: true}``, of the
column or of the whole model. ``meta: {subject: customer}`` marks the column of a person's id, and
``meta: {subject: customer.hash_key}`` that of another key of the person, under a name of one's choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.project import Project
    from penstock.transform.dbt import Dbt
    from penstock.transform.manifest import Relation

UNSORTED = frozenset({"_pen_rescued", "_pen_json", "_pen_version"})
"""Columns of a raw table that may hold any field."""


def open_dbt(project: Project) -> Dbt | None:
    """The project's dbt, to be asked; None when it has none."""
    if not project.has_models:
        return None
    from penstock.transform import dbt

    return dbt.open_dbt(project)


def personal_fields(project: Project, streams: Iterable[str]) -> frozenset[str]:
    """The fields that these streams mark as personal."""
    settings = [project.streams[s] for s in streams if s in project.streams]
    return frozenset(stream.field(f) for stream in settings for f in stream.pii or ())


def subject_field(project: Project, stream: str, kind: str) -> str:
    """The field of a stream that holds the id of a person of a kind."""
    settings = project.streams[stream]
    return settings.field(settings.subject[kind])


def personal_names(fields: Iterable[str]) -> frozenset[str]:
    """The names of columns that hold personal fields, and of those that may hold any; none without fields."""
    from penstock.schema import normal_name

    names = frozenset(name for f in fields for name in (f.lower(), normal_name(f)))
    return names | UNSORTED if names else names


def is_personal(name: str, names: frozenset[str]) -> bool:
    """Whether a column of this name holds personal data: also a variant, ``phone__text``."""
    return name.lower() in names or name.lower().partition("__")[0] in names


def hidden_columns(project: Project, relation: Relation, columns: Iterable[str]) -> list[str]:
    """Those of a model's actual columns that hold personal data."""
    if relation.meta.get("pii") is True:
        return list(columns)
    names = personal_names(personal_fields(project, relation.streams))
    marked = {name.lower(): meta["pii"] is True for name, meta in relation.columns.items() if "pii" in meta}
    return [c for c in columns if marked.get(c.lower(), is_personal(c, names))]


def subject_columns(relation: Relation, kind: str) -> dict[str, str]:
    """Column → mark, of the columns that tell which person of a kind a row is about."""
    subjects = {}
    for name, meta in relation.columns.items():
        subject = meta.get("subject")
        for mark in [subject] if isinstance(subject, str) else subject or ():
            if str(mark).partition(".")[0] == kind:
                subjects[name] = str(mark)
    return subjects


def tagged_names(project: Project) -> frozenset[str]:
    """Names of the columns that YAML files of the dbt project mark as personal, read without dbt."""
    import yaml

    names: set[str] = set()
    for path in sorted({*project.directory.glob("**/*.yml"), *project.directory.glob("**/*.yaml")}):
        if path == project.file or any(part.startswith(".") for part in path.relative_to(project.directory).parts):
            continue
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        if isinstance(document, dict):
            for kind in ("models", "snapshots", "seeds"):
                for part in document.get(kind) or () if isinstance(document.get(kind), list) else ():
                    names |= _tagged(part)
    return frozenset(names)


def _tagged(part: Any) -> set[str]:
    columns = part.get("columns") if isinstance(part, dict) else None
    named = [c for c in columns or () if isinstance(c, dict) and isinstance(c.get("name"), str)]
    whole = _meta(part).get("pii") is True if isinstance(part, dict) else False
    return {c["name"].lower() for c in named if whole or _meta(c).get("pii") is True}


def _meta(part: Mapping[str, Any]) -> dict[str, Any]:
    config = part.get("config")
    inner = config.get("meta") if isinstance(config, dict) else None
    return {**(part.get("meta") or {}), **(inner or {})}
