"""Settings shown to people: in the file's own words, without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, SecretStr

from penstock.errors import MASK
from penstock.project.values import Identity
from penstock.project.warehouses import Postgres
from penstock.spans import span_text


def masked(value: Any) -> Any:
    """Settings as plain values in the file's own words, with secrets as ``*****``."""
    if isinstance(value, Postgres) and value.parameters:
        safe = {k: MASK if "pass" in k else v for k, v in value.parameters.items()}
        return {**_fields(value), "parameters": safe}
    if isinstance(value, BaseModel):
        return _fields(value)
    if isinstance(value, Mapping):
        return {k: masked(v) for k, v in value.items()}
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, tuple | list):
        return [masked(v) for v in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, timedelta):
        return span_text(value)
    if isinstance(value, Identity):
        return list(value.fields) or value.kind
    return str(value)


def _fields(model: BaseModel) -> dict[str, Any]:
    return {
        f.alias or name: masked(getattr(model, name)) for name, f in type(model).model_fields.items() if not f.exclude
    }
