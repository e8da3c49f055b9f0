"""What the models say of themselves: a JSON Schema for editors, and the configuration page of the docs."""

from __future__ import annotations

from typing import Any

from penstock.project.models import (
    Contract,
    CsvOptions,
    DuckDBDestination,
    FilesSource,
    LoadOptions,
    PostgresDestination,
    Project,
    Stream,
    TransformOptions,
)

_SECTIONS = (
    ("The file", Project),
    ("`destinations.<name>`, `type: duckdb`", DuckDBDestination),
    ("`destinations.<name>`, `type: postgres`", PostgresDestination),
    ("`sources.<name>`, `type: files`", FilesSource),
    ("`sources.<name>.csv`", CsvOptions),
    ("`streams.<name>`", Stream),
    ("`streams.<name>.contract`", Contract),
    ("`load`", LoadOptions),
    ("`transform`", TransformOptions),
)


def project_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of ``penstock.yml``."""
    schema = Project.model_json_schema(by_alias=True)
    identity = {"anyOf": [{"const": "content"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    stream = schema["$defs"]["Stream"]["properties"]
    stream["identity"] = {**identity, "description": stream["identity"]["description"]}
    stream["contract"] = {
        "anyOf": [{"enum": ["evolve", "rescue", "reject", "freeze"]}, {"$ref": "#/$defs/Contract"}],
        "description": stream["contract"]["description"],
    }
    for place, name in (("Stream", "from"), ("FilesSource", "path")):
        field = schema["$defs"][place]["properties"][name]
        text = {"type": "string"}
        field["anyOf"] = [text, {"type": "array", "items": text, "minItems": 1}]
        for key in ("type", "items", "minItems"):
            field.pop(key, None)
    for place, names in (("LoadOptions", ("batch_bytes", "commit_bytes")), ("Stream", ("max_record_bytes",))):
        for name in names:
            field = schema["$defs"][place]["properties"][name]
            field["type"] = ["integer", "string"]
    schema["$defs"].pop("Identity", None)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "penstock.yml"
    return schema


def reference_page() -> str:
    """The configuration reference, in Markdown."""
    schema = project_schema()
    lines = [
        "# Configuration",
        "",
        "Written from the models by `penstock schema --markdown`; change those, not this page.",
        "",
        "`${VAR}` and `${VAR:-default}` stand for environment variables, also from a `.env` beside the file; `$$` is a"
        " dollar sign. Every setting can be given as a variable too: `PENSTOCK__STREAMS__USERS__MAX_RECORD_BYTES=1MB`."
        " The environment wins over `.env`, and both over the file.",
    ]
    for title, model in _SECTIONS:
        properties = (schema if model is Project else schema["$defs"][model.__name__])["properties"]
        required = set((schema if model is Project else schema["$defs"][model.__name__]).get("required", ()))
        lines += ["", f"## {title}", "", (model.__doc__ or "").strip().split("\n")[0], ""]
        lines += ["| field | default | meaning |", "|---|---|---|"]
        for name, info in properties.items():
            default = "required" if name in required else _default(model, name)
            lines.append(f"| `{name}` | {default} | {info.get('description', _type_note(info))} |")
    return "\n".join(lines) + "\n"


def _default(model: type[Any], name: str) -> str:
    info = next(f for n, f in model.model_fields.items() if name in (n, f.alias))
    if info.default_factory is not None or info.default is None:
        return ""
    value = info.default
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f"`{value}`"


def _type_note(info: dict[str, Any]) -> str:
    return f"`{info['const']}`" if "const" in info else ""
