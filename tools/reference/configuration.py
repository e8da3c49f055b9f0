"""``penstock.schema.json`` and ``docs/configuration.md``, both made from the settings' types."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache
from typing import Any

from pydantic import SecretStr
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticUndefined

from penstock.project import (
    csv_settings,
    expect,
    http,
    http_client,
    lake,
    lakehouse,
    metabase_settings,
    notify,
    pagination,
    privacy_settings,
    rabbitmq_settings,
    schedule,
    settings,
    telemetry,
    tls_settings,
    warehouses,
)
from penstock.project.csv_settings import Csv
from penstock.project.expect import EXPECTATION_LINE, Expectation, Quarantined, RowCount
from penstock.project.group import Settings
from penstock.project.http import Endpoint, Http, Incremental, Parent, Windows
from penstock.project.http_client import ApiKey, Basic, Bearer, Breaker, OAuth2, RateLimit, Retries, Timeouts
from penstock.project.lake import Lake
from penstock.project.lakehouse import Spark, SparkCatalog, SparkSession, SparkTidy
from penstock.project.metabase_settings import Metabase
from penstock.project.notify import Channel, Email, Notify, Webhook
from penstock.project.pagination import Cursor, LinkHeader, NextLink, NoPages, Offset, Page
from penstock.project.privacy_settings import Privacy
from penstock.project.rabbitmq_settings import RabbitMQ
from penstock.project.schedule import Schedule, TidySchedule
from penstock.project.settings import (
    Contract,
    Files,
    Load,
    ProjectFile,
    Stream,
    Transform,
    Up,
)
from penstock.project.telemetry import Lineage, Logging
from penstock.project.tls_settings import Tls
from penstock.project.warehouses import DuckDB, Postgres
from penstock.spans import span_text

_VARIABLE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}
"""Wherever a value may stand, a variable that holds it may."""

_SECTIONS: tuple[tuple[str, str, type[Settings]], ...] = (
    ("The file", "", ProjectFile),
    ("A DuckDB destination", "destinations.<name>", DuckDB),
    ("A PostgreSQL destination", "destinations.<name>", Postgres),
    ("A destination of Iceberg tables", "destinations.<name>", Spark),
    ("A catalog of Iceberg tables", "destinations.<name>.catalog", SparkCatalog),
    ("A session of Spark", "destinations.<name>.spark", SparkSession),
    ("Looking after Iceberg tables", "destinations.<name>.tidy", SparkTidy),
    ("When they are looked after", "destinations.<name>.tidy.schedule", TidySchedule),
    ("A source of files", "sources.<name>", Files),
    ("CSV", "sources.<name>.csv", Csv),
    ("A source of RabbitMQ", "sources.<name>", RabbitMQ),
    ("TLS", "sources.<name>.tls", Tls),
    ("A source of HTTP", "sources.<name>", Http),
    ("An endpoint", "sources.<name>.endpoints.<stream>", Endpoint),
    ("Pages by number", "…pagination", Page),
    ("Pages by offset", "…pagination", Offset),
    ("Pages by cursor", "…pagination", Cursor),
    ("Pages by link", "…pagination", NextLink),
    ("Pages by header", "…pagination", LinkHeader),
    ("No pages", "…pagination", NoPages),
    ("Incremental loading", "sources.<name>.endpoints.<stream>.incremental", Incremental),
    ("Windows", "sources.<name>.endpoints.<stream>.windows", Windows),
    ("A parent", "sources.<name>.endpoints.<stream>.parent", Parent),
    ("Authentication by a token", "sources.<name>.auth", Bearer),
    ("Authentication by user and password", "sources.<name>.auth", Basic),
    ("Authentication by a key", "sources.<name>.auth", ApiKey),
    ("Authentication by OAuth 2", "sources.<name>.auth", OAuth2),
    ("Time-outs", "sources.<name>.timeouts", Timeouts),
    ("Retries", "sources.<name>.retries", Retries),
    ("A rate limit", "sources.<name>.rate_limit", RateLimit),
    ("A breaker", "sources.<name>.breaker", Breaker),
    ("A stream", "streams.<name>", Stream),
    ("A contract", "streams.<name>.contract", Contract),
    ("An expectation", "streams.<name>.expect", Expectation),
    ("Rows expected", "streams.<name>.expect.rows", RowCount),
    ("Quarantine expected", "streams.<name>.expect.quarantined", Quarantined),
    ("The lake", "lake", Lake),
    ("Loading", "load", Load),
    ("Transforming", "transform", Transform),
    ("Running it all", "up", Up),
    ("A schedule", "schedule, and streams.<name>.schedule", Schedule),
    ("Notifications", "notify", Notify),
    ("A channel", "notify.to[…]", Channel),
    ("A webhook", "notify.to[…].webhook", Webhook),
    ("Mail", "notify.to[…].email", Email),
    ("Personal data", "privacy", Privacy),
    ("Metabase", "metabase", Metabase),
    ("Logs", "logging", Logging),
    ("Lineage", "lineage", Lineage),
)

_HEAD = """\
# Configuration

<!-- Made from the types in src/penstock/project by configuration_page(); a test keeps it so. -->

All settings of a project are in `penstock.yml`. For completion and checking in an editor, put
`# yaml-language-server: $schema=.penstock/schema.json` on its first line, as a new project has it: commands keep the
schema of the installed version there, and git ignores it. `penstock schema` prints it, for any other place.

**Variables.** `${NAME}` takes the value of an environment variable, or of a line `NAME=value` in `.env` beside
the file; the environment wins. `${NAME:-default}` has a default for a variable that is not set or empty, and
`$$` is a dollar sign. A variable that is not set and has no default is an error, except in a destination that
is not used, and in a privacy key until a command needs it. What a variable holds is one value; it cannot add settings.

**Settings from variables.** Every setting also has a variable: `PENSTOCK__` and its path, with `__` for each
step, in capitals. `PENSTOCK__STREAMS__USER_EVENTS__MAX_RECORD_BYTES=1MB` sets
`streams.user_events.max_record_bytes`. Lists and mappings are written as YAML: `[a, b]`. The environment wins
over `.env`, and `.env` over the file. Names of streams, sources and destinations come from the file alone.

**Environments.** `PENSTOCK_ENV=production`, in the environment or in `.env`, or `penstock --env production run`, puts
`penstock.production.yml` over `penstock.yml`: it has only what is different there. Groups are merged name by name;
lists, single values, and groups of another `type` are replaced. Variables win over both files.

**Sizes** are bytes, or text such as `16MB` (millions of bytes) and `16MiB` (2^20 bytes each).

**Times** are text such as `30s`, `5m`, `1h30m`, `1d`, or a number of seconds.

**Text** stays text: `no`, `0123` and `2020-12-07` are not turned into something else.
"""


def project_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of ``penstock.yml``, for editors."""
    schema = ProjectFile.model_json_schema(by_alias=True, mode="validation")
    title = {"title": "penstock.yml", "$schema": GenerateJsonSchema.schema_dialect}
    definitions = {name: _object(name, definition) for name, definition in schema.pop("$defs").items()}
    file = {k: v for k, v in _object("ProjectFile", schema).items() if k != "title"}
    found = {**title, **file, "$defs": definitions}
    properties = found["properties"]
    properties["destinations"]["propertyNames"] = {"pattern": "^[a-zA-Z][a-zA-Z0-9_-]{0,62}$"}
    properties["sources"]["propertyNames"] = {"pattern": "^[a-zA-Z][a-zA-Z0-9_-]{0,62}$"}
    properties["streams"]["propertyNames"] = {"pattern": "^[a-z][a-z0-9_]{0,47}$"}
    properties["transform"] = _either(properties["transform"], {"type": "boolean"})
    queue = definitions["RabbitMQ"]["properties"]
    queue["tls"] = _either(queue["tls"], {"type": "boolean"})
    kinds = {"enum": ["page", "offset", "next_link", "link_header", "none"]}
    for group in ("Endpoint", "Http"):
        settings_of = definitions[group]["properties"]
        settings_of["pagination"] = _either(settings_of["pagination"], kinds)
    for group in (properties, definitions["Stream"]["properties"]):
        group["schedule"] = _either(group["schedule"], {"type": "string"})
    tidied = definitions["SparkTidy"]["properties"]
    tidied["schedule"] = _either(_either(tidied["schedule"], {"type": "string"}), {"const": False})
    contract = definitions["Stream"]["properties"]["contract"]
    modes = {"enum": ["evolve", "rescue", "reject", "freeze"]}
    definitions["Stream"]["properties"]["contract"] = _either(contract, modes)
    expected = definitions["Stream"]["properties"]["expect"]
    line = {"type": "string", "pattern": EXPECTATION_LINE}
    one = {"$ref": "#/$defs/Expectation"}
    expected["items"] = {"anyOf": [one, line]}
    definitions["Stream"]["properties"]["expect"] = _either(_either(expected, line), one)
    properties["notify"] = _either(properties["notify"], {"type": "array", "items": {"$ref": "#/$defs/Channel"}})
    channel = definitions["Channel"]["properties"]
    channel["webhook"] = _either(channel["webhook"], {"type": "string"})
    return found


def configuration_page() -> str:
    """``docs/configuration.md``: every setting with its type, default and meaning."""
    return "\n".join([_HEAD.rstrip(), *(line for section in _SECTIONS for line in _section(*section)), ""])


@cache
def _meanings() -> Mapping[str, Mapping[str, str]]:
    """Class → setting → its docstring, read from the source: at run time nobody pays for them."""
    found: dict[str, dict[str, str]] = {}
    modules = (
        rabbitmq_settings,
        csv_settings,
        http_client,
        http,
        lake,
        lakehouse,
        privacy_settings,
        schedule,
        expect,
        notify,
        telemetry,
        pagination,
        metabase_settings,
        settings,
        tls_settings,
        warehouses,
    )
    texts = (inspect.getsource(module) for module in modules)
    for group in (node for text in texts for node in ast.parse(text).body):
        if isinstance(group, ast.ClassDef):
            bases = [base.id for base in group.bases if isinstance(base, ast.Name)]
            about = found.setdefault(group.name, {k: v for base in bases for k, v in found.get(base, {}).items()})
            for setting, text in zip(group.body, group.body[1:], strict=False):
                match setting, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                        about[name.rstrip("_")] = " ".join(words.split())
    return found


def _object(name: str, definition: dict[str, Any]) -> dict[str, Any]:
    properties = {
        setting: _value({**schema, "description": _meanings()[name][setting]})
        for setting, schema in definition.get("properties", {}).items()
    }
    kept = {k: v for k, v in definition.items() if k != "properties"}
    if "description" in kept:
        kept["description"] = " ".join(kept["description"].split())
    return {**kept, "properties": properties} if properties else kept


def _value(schema: dict[str, Any]) -> dict[str, Any]:
    """A setting's schema, open to a variable where it is not text anyway."""
    schema = {k: v for k, v in schema.items() if k not in ("title", "writeOnly", "format")}
    options = schema.get("anyOf", [schema])
    if "const" in schema or any("$ref" in o or o.get("type") in ("object", "array") for o in options):
        return schema
    if any(o.get("type") == "string" and not {"pattern", "enum", "minLength"} & set(o) for o in options):
        return schema
    return _either(schema, _VARIABLE)


def _either(schema: dict[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    about = {k: v for k, v in schema.items() if k in ("description", "default")}
    rest = {k: v for k, v in schema.items() if k not in about}
    options = rest["anyOf"] if set(rest) == {"anyOf"} else [rest]
    return {**about, "anyOf": [*options, dict(other)]}


def _section(title: str, path: str, model: type[Settings]) -> Iterator[str]:
    about = " ".join((model.__doc__ or "").split())
    yield f"\n## {title}\n"
    yield f"`{path}`: {about}\n" if path else f"{about}\n"
    yield "| setting | value | default | meaning |"
    yield "|---|---|---|---|"
    definition = model.model_json_schema(by_alias=True)
    for name, field in model.model_fields.items():
        key = field.alias or name
        schema = definition["properties"][key]
        meaning = _meanings()[model.__name__][key]
        yield f"| `{key}` | {_shape(schema)} | {_default(field.get_default(call_default_factory=True))} | {meaning} |"


def _shape(schema: Mapping[str, Any]) -> str:
    """The value a setting takes, in a few words."""
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        shapes = [_shape(option) for option in schema["anyOf"] if option.get("type") != "null"]
        if any("smhdw" in o.get("pattern", "") for o in schema["anyOf"]):
            return "time"
        return (
            "size"
            if any("GtT" in o.get("pattern", "") for o in schema["anyOf"])
            else " or ".join(dict.fromkeys(shapes))
        )
    if "$ref" in schema or "oneOf" in schema:
        return "group, see below"
    kind = schema.get("type")
    if kind == "array":
        return "list"
    if kind == "object":
        return "mapping"
    limits = [f"{word} {schema[k]:,}" for k, word in (("minimum", "from"), ("maximum", "to")) if k in schema]
    named = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
    return " ".join([named.get(str(kind), "text"), *limits])


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if value is None or isinstance(value, Mapping | SecretStr):
        return ""
    if isinstance(value, Settings):
        return "as below"
    if isinstance(value, timedelta):
        return f"`{span_text(value)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(repr(v) for v in value)}]`"
    return f"`{value}`"
