"""Metabase's requests, as far as Penstock makes them: which there are, and what they may hold.

Facts, written down by hand from Metabase's own API description (``docs/api.json``, OpenAPI 3.1, of 0.57 and 0.58) and,
where that is silent on further fields, from the schemas of its request handlers at 0.64, which refuse what they do not
name. The stricter of the two counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

Schema = dict[str, Any]

ID: Schema = {"type": "integer", "minimum": 1}
NUMBER: Schema = {"type": "integer"}
NATURAL: Schema = {"type": "integer", "minimum": 0}
TEXT: Schema = {"type": "string"}
WORDS: Schema = {"type": "string", "minLength": 1}
FLAG: Schema = {"type": "boolean"}
MAP: Schema = {"type": "object"}
FLAG_TEXT: Schema = {"enum": ["true", "false"]}


def one_of(*words: str) -> Schema:
    """One of these words."""
    return {"enum": list(words)}


def maybe(schema: Schema) -> Schema:
    """This, or nothing."""
    return {"anyOf": [schema, {"type": "null"}]}


def listed(schema: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": schema}


def closed(*required: str, **properties: Schema) -> Schema:
    """An object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What a request may hold."""

    query: Mapping[str, Schema] = field(default_factory=dict)
    body: Schema | None = None
    public: bool = False
    """Whether nobody need be logged in."""


QUERY = {
    "anyOf": [
        {
            "type": "object",
            "properties": {
                "type": {"const": "native"},
                "database": ID,
                "native": {
                    "type": "object",
                    "properties": {"query": WORDS, "template-tags": MAP},
                    "required": ["query"],
                },
            },
            "required": ["type", "database", "native"],
        },
    ]
}
DASHCARD = closed(
    "id",
    "size_x",
    "size_y",
    "row",
    "col",
    id=NUMBER,
    size_x=ID,
    size_y=ID,
    row=NATURAL,
    col=NATURAL,
    card_id=maybe(ID),
    action_id=maybe(ID),
    dashboard_tab_id=maybe(NUMBER),
    parameter_mappings=maybe(listed(MAP)),
    visualization_settings=maybe(MAP),
    inline_parameters=maybe(listed(WORDS)),
    series=maybe(listed(closed("id", id=ID))),
)
_CARD = {
    "name": WORDS,
    "type": maybe(one_of("question", "model", "metric")),
    "dataset_query": QUERY,
    "display": WORDS,
    "description": maybe(WORDS),
    "visualization_settings": MAP,
    "collection_id": maybe(ID),
    "collection_position": maybe(ID),
    "dashboard_id": maybe(ID),
    "cache_ttl": maybe(ID),
    "entity_id": maybe(WORDS),
    "parameters": maybe(listed(MAP)),
}
_DASHBOARD = {
    "name": WORDS,
    "description": maybe(TEXT),
    "parameters": maybe(listed(MAP)),
    "cache_ttl": maybe(ID),
    "collection_id": maybe(ID),
    "collection_position": maybe(ID),
}
_DATABASE = {
    "name": WORDS,
    "engine": one_of("postgres", "h2", "mysql"),
    "details": MAP,
    "is_full_sync": maybe(FLAG),
    "is_on_demand": maybe(FLAG),
    "auto_run_queries": maybe(FLAG),
    "cache_ttl": maybe(ID),
}
VISIBILITY = one_of("normal", "details-only", "hidden", "sensitive", "retired")

ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", "/api/health"): Endpoint(public=True),
    ("GET", "/api/session/properties"): Endpoint(public=True),
    ("POST", "/api/session"): Endpoint(
        body=closed("username", "password", username=WORDS, password=WORDS), public=True
    ),
    ("DELETE", "/api/session"): Endpoint(),
    ("PUT", "/api/setting/anon-tracking-enabled"): Endpoint(body=closed("value", value=FLAG)),
    ("POST", "/api/setup"): Endpoint(
        public=True,
        body=closed(
            "token",
            "user",
            "prefs",
            token=WORDS,
            user=closed(
                "email",
                "password",
                email={"type": "string", "pattern": "^[^@\\s]+@[^@\\s]+$"},
                password=WORDS,
                first_name=maybe(WORDS),
                last_name=maybe(WORDS),
                site_name=maybe(TEXT),
                password_confirm=maybe(TEXT),
            ),
            prefs=closed(
                "site_name",
                site_name=WORDS,
                site_locale=maybe(TEXT),
                allow_tracking=maybe({"type": ["boolean", "string"]}),
            ),
            database=maybe(MAP),
        ),
    ),
    ("GET", "/api/user/current"): Endpoint(),
    ("GET", "/api/database"): Endpoint(query={"include": one_of("tables")}),
    ("POST", "/api/database"): Endpoint(body=closed("name", "engine", "details", **_DATABASE)),
    ("GET", "/api/database/{id}"): Endpoint(query={"include": one_of("tables", "tables.fields")}),
    ("PUT", "/api/database/{id}"): Endpoint(
        body=closed(**_DATABASE, description=maybe(TEXT), settings=maybe(MAP), refingerprint=maybe(FLAG))
    ),
    ("GET", "/api/database/{id}/healthcheck"): Endpoint(),
    ("GET", "/api/database/{id}/metadata"): Endpoint(
        query=dict.fromkeys(
            ("include_hidden", "include_editable_data_model", "remove_inactive", "skip_fields"), FLAG_TEXT
        )
    ),
    ("POST", "/api/database/{id}/sync_schema"): Endpoint(body=MAP),
    ("PUT", "/api/table/{id}"): Endpoint(
        body=closed(
            description=maybe(TEXT),
            display_name=maybe(WORDS),
            visibility_type=maybe(one_of("hidden", "technical", "cruft")),
            caveats=maybe(TEXT),
            points_of_interest=maybe(TEXT),
        )
    ),
    ("PUT", "/api/field/{id}"): Endpoint(
        body=closed(
            description=maybe(WORDS),
            display_name=maybe(WORDS),
            fk_target_field_id=maybe(ID),
            semantic_type=maybe({"type": "string", "pattern": "^type/[A-Za-z]+$"}),
            visibility_type=maybe(VISIBILITY),
            caveats=maybe(WORDS),
            points_of_interest=maybe(WORDS),
        )
    ),
    ("GET", "/api/collection"): Endpoint(
        query={"archived": FLAG_TEXT, "exclude-other-user-collections": FLAG_TEXT, "namespace": WORDS}
    ),
    ("POST", "/api/collection"): Endpoint(
        body=closed("name", name=WORDS, description=maybe(WORDS), parent_id=maybe(ID), namespace=maybe(WORDS))
    ),
    ("GET", "/api/collection/{id}/items"): Endpoint(
        query={"models": one_of("dashboard", "card", "dataset", "collection"), "archived": FLAG_TEXT}
    ),
    ("GET", "/api/card"): Endpoint(
        query={
            "f": one_of("archived", "table", "using_model", "bookmarked", "using_segment", "all", "mine", "database"),
            "model_id": {"type": "string", "pattern": "^[1-9][0-9]*$"},
        }
    ),
    ("POST", "/api/card"): Endpoint(body=closed("name", "dataset_query", "display", "visualization_settings", **_CARD)),
    ("GET", "/api/card/{id}"): Endpoint(query={"legacy-mbql": FLAG_TEXT}),
    ("PUT", "/api/card/{id}"): Endpoint(
        body=closed(**{k: v for k, v in _CARD.items() if k != "entity_id"}, archived=maybe(FLAG))
    ),
    ("POST", "/api/dashboard"): Endpoint(body=closed("name", **_DASHBOARD)),
    ("GET", "/api/dashboard/{id}"): Endpoint(),
    ("PUT", "/api/dashboard/{id}"): Endpoint(
        body=closed(
            **_DASHBOARD,
            archived=maybe(FLAG),
            width=one_of("fixed", "full"),
            dashcards=maybe(listed(DASHCARD)),
            tabs=maybe(listed(closed("id", "name", id=NUMBER, name=WORDS, position=NATURAL))),
        )
    ),
}


def find_endpoint(method: str, path: str) -> tuple[str, Endpoint, list[int]] | None:
    """The template, what it takes, and the ids in the path."""
    for (verb, template), endpoint in ENDPOINTS.items():
        pattern = re.escape(template).replace(r"\{id\}", "([1-9][0-9]*)")
        found = re.fullmatch(pattern, path.rstrip("/"))
        if verb == method and found:
            return template, endpoint, [int(g) for g in found.groups()]
    return None


def problems_of(endpoint: Endpoint, query: Mapping[str, str], body: bytes) -> list[str]:
    """What is wrong with a request; nothing when it is as described."""
    found = [f"no parameter {name}" for name in query if name not in endpoint.query]
    found += [
        f"{name}: {e.message}"
        for name, schema in endpoint.query.items()
        if name in query
        for e in Draft202012Validator(schema).iter_errors(query[name])
    ]
    if endpoint.body is None:
        return found + (["no body is taken"] if body else [])
    try:
        said = json.loads(body or b"{}")
    except ValueError:
        return [*found, "no JSON"]
    errors = Draft202012Validator(endpoint.body).iter_errors(said)
    return found + [f"{'.'.join(map(str, e.absolute_path))}: {e.message}" for e in errors]
