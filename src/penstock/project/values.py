"""The kinds of value a setting can have: sizes, column types, names, identities."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationInfo, WithJsonSchema

from penstock.project.nearest import nearest

T = TypeVar("T")

_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)")

TYPES = ("text", "bigint", "double", "decimal", "boolean", "date", "timestamp", "timestamptz", "uuid", "json")
_ALIASES = {
    "string": "text",
    "str": "text",
    "varchar": "text",
    "char": "text",
    "character varying": "text",
    "character": "text",
    "int": "bigint",
    "integer": "bigint",
    "smallint": "bigint",
    "int2": "bigint",
    "int4": "bigint",
    "int8": "bigint",
    "long": "bigint",
    "float": "double",
    "float4": "double",
    "float8": "double",
    "real": "double",
    "double precision": "double",
    "numeric": "decimal",
    "number": "decimal",
    "bool": "boolean",
    "datetime": "timestamp",
    "timestamp without time zone": "timestamp",
    "timestamp_ntz": "timestamp",
    "timestamp with time zone": "timestamptz",
    "timestamp_tz": "timestamptz",
    "jsonb": "json",
    "object": "json",
    "array": "json",
}
_TYPE = re.compile(r"([a-z_0-9]+(?: [a-z ]+?)?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?")

MAX_PRECISION = 38
"""Digits of the widest decimal that DuckDB and Arrow's decimal128 hold."""
MAX_DROP_PARTS = 8
"""Names in the path of a dropped field."""
DEFAULT_SCALE = 9
"""Digits after the point of a ``decimal`` without any said, as in BigQuery's NUMERIC."""


def size_in_bytes(value: Any) -> Any:
    """Bytes of ``16777216``, ``"16MB"`` (10^6 each) or ``"16MiB"`` (2^20 each)."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None or match[2].lower() not in _UNITS:
        raise ValueError(f'expected a size such as 16777216, "16MB" or "16MiB", not {value!r}')
    number, unit = match[1], _UNITS[match[2].lower()]
    return int(float(number) * unit) if "." in number else int(number) * unit


def column_type(text: str) -> str:
    """The one name of a column type that has several: ``VARCHAR(20)`` is ``text``, ``numeric`` is ``decimal(38,9)``.

    Raises:
        ValueError: no such type; names the nearest.
    """
    match = _TYPE.fullmatch(text.strip().lower())
    name = match[1].strip() if match else text.strip().lower()
    name = _ALIASES.get(name, name)
    if match is None or name not in TYPES:
        near = nearest(name, [*TYPES, *_ALIASES])
        near = _ALIASES.get(near, near) if near else None
        hint = f"; did you mean {near}?" if near else ""
        raise ValueError(f"{text!r} is no column type (there are {', '.join(TYPES)}){hint}")
    if name == "decimal":
        precision = int(match[2]) if match[2] else MAX_PRECISION
        scale = int(match[3]) if match[3] else (0 if match[2] else DEFAULT_SCALE)
        if not 1 <= precision <= MAX_PRECISION or scale > precision:
            raise ValueError(
                f"{text!r}: a decimal has 1 to {MAX_PRECISION} digits, at most all of them after the point"
            )
        return f"decimal({precision},{scale})"
    return name


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a record the same record: its content, its message id, or key fields."""

    kind: Literal["content", "message", "fields"]
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"[{', '.join(self.fields)}]" if self.fields else self.kind


CONTENT = Identity("content")


def _identity(value: Any) -> Any:
    if isinstance(value, Identity):
        return value
    if value == "content" or value == "message":
        return Identity(value)
    fields = [value] if isinstance(value, str) else value
    if isinstance(fields, list | tuple) and fields and all(isinstance(f, str) and f for f in fields):
        if isinstance(value, str):
            raise ValueError(f"expected content, message or a list of fields; for one key field write [{value}]")
        twice = next((f for f in fields if list(fields).count(f) > 1), None)
        if twice is not None:
            raise ValueError(f"field {twice!r} is named twice")
        return Identity("fields", tuple(fields))
    raise ValueError("expected content, message or a list of fields")


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _not_empty(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("expected at least one")
    if len(set(value)) < len(value):
        raise ValueError("names one of them twice")
    return value


def _droppable(paths: tuple[str, ...]) -> tuple[str, ...]:
    for path in paths:
        parts = path.split(".")
        if not all(parts):
            raise ValueError(f"{path!r} names no field; expected one such as password or login.password")
        if len(parts) > MAX_DROP_PARTS:
            raise ValueError(f"{path!r} has {len(parts)} parts; there can be {MAX_DROP_PARTS}")
    return paths


class WrongName(ValueError):
    """A name in a mapping, or what stands at that name, is wrong: ``name``."""

    def __init__(self, name: str, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.name = name
        self.fix = fix


def named(kind: str, pattern: str, rule: str) -> AfterValidator:
    """Checks the names in a mapping against ``pattern``; ``rule`` says it in words."""
    compiled = re.compile(pattern)

    def check(names: Mapping[str, T]) -> Mapping[str, T]:
        for name in names:
            if not compiled.fullmatch(name) or name.endswith("__delta"):
                raise WrongName(name, f"cannot name a {kind}: {rule}")
        return names

    return AfterValidator(check)


def _frozen(mapping: Mapping[str, T]) -> Mapping[str, T]:
    return MappingProxyType(dict(mapping))


def _beside(path: Path, info: ValidationInfo) -> Path:
    directory = (info.context or {}).get("directory")
    path = path.expanduser()
    return directory / path if directory is not None and not path.is_absolute() else path


def _one_line(value: SecretStr) -> SecretStr:
    """Without the line break that a secret from a file mostly ends with."""
    text = value.get_secret_value().strip()
    if not text.isascii() or not text.isprintable():
        raise ValueError("expected text of one line, of ASCII characters only, since it is sent in a header")
    return SecretStr(text)


Frozen = AfterValidator(_frozen)
STREAM_NAME = r"[a-z][a-z0-9_]{0,47}"
StreamNames = named(
    "stream", STREAM_NAME, "expected small letters, digits and _, a letter first, at most 48, and not ending in __delta"
)
PartNames = named(
    "source or destination", r"[a-zA-Z][a-zA-Z0-9_-]{0,62}", "expected letters, digits, _ and -, a letter first"
)

ByteSize = Annotated[
    int,
    BeforeValidator(size_in_bytes),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^\s*[0-9.]+\s*([kKmMgGtT]i?)?[bB]?\s*$"},
            ]
        }
    ),
]
ColumnType = Annotated[str, AfterValidator(column_type)]
IdentityValue = Annotated[
    Identity,
    BeforeValidator(_identity),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["content", "message"]},
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
            ],
            "default": "content",
        }
    ),
]
OneOrMany = Annotated[
    tuple[str, ...],
    BeforeValidator(_one_or_many),
    AfterValidator(_not_empty),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
DropPaths = Annotated[OneOrMany, AfterValidator(_droppable)]
ProjectPath = Annotated[Path, AfterValidator(_beside)]
HeaderValue = Annotated[SecretStr, AfterValidator(_one_line)]
