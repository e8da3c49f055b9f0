"""The settings of an HTTP source. Names, types and docstrings here are the reference that users read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from penstock.jsonpath import parse_path
from penstock.project.csv_settings import Csv
from penstock.project.fields import NamesFields
from penstock.project.group import Settings, none
from penstock.project.http_client import HttpConnection
from penstock.project.nearest import nearest
from penstock.project.pagination import NoPages, Pagination
from penstock.project.placeholders import JsonPath, Parameters, Templates, only_places, places_in
from penstock.project.sources import SourceSettings
from penstock.project.values import Frozen
from penstock.project.yaml_document import Document, Problem
from penstock.spans import SCHEMA, time_span

Duration = Annotated[
    timedelta,
    BeforeValidator(time_span),
    WithJsonSchema(SCHEMA),
]


class Incremental(Settings):
    """Only what changed since the last load is asked for. The greatest value of a field is kept in the ledger, in the
    transaction that lands the records."""

    field: Annotated[JsonPath, NamesFields(how="path")]
    """The records' field that grows, such as `updated`."""
    params: Templates
    """The parameters that ask for what is new, such as `updated_since={cursor}`. The first load leaves them out, unless
    there is an `initial`."""
    initial: str | int | float | None = None
    """The first load's `{cursor}`."""
    type: Literal["auto", "timestamp", "number", "unix", "unix_ms", "text"] = "auto"
    """What the field holds: `auto` tells texts like `2020-12-07T01:02:03Z` and numbers apart; `unix` and `unix_ms` are
    seconds and milliseconds since 1970; `text` is compared as such."""
    overlap: Duration = timedelta(minutes=10)
    """How much of the time before is asked for again, for records that the API committed late. Those that landed are
    known by their identity. For times alone."""
    order: Literal["any", "ascending"] = "any"
    """`ascending` when the API sorts by the field: what a failed load has landed then counts. Otherwise the greatest
    value counts once all pages have landed."""
    format: str | None = Field(default=None, min_length=1)
    """How a time is written in `{cursor}`, as in `%Y-%m-%d`. By default as the API writes it."""

    @model_validator(mode="after")
    def _is_used(self) -> Incremental:
        only_places(self.params, {"cursor"}, {"cursor"}, "updated_since={cursor}")
        return self


class Windows(Settings):
    """The days of `--date`, `--from` and `--to` as the API's parameters, so that it is asked for those alone. A window
    is asked for again until it was read as long after its end as the endpoint's `overlap` says, or `--lookback`;
    then `--no-fingerprint` alone asks for it again."""

    params: Templates
    """The parameters of a window, such as `from={from}&to={to}`."""
    step: Annotated[Duration, Field(gt=timedelta(0))] = timedelta(days=1)
    """How long a window is that is asked for at a time."""
    inclusive: bool = False
    """Whether the API takes `{to}` in: it is then the window's last day, or second, not the first one behind it."""
    format: str | None = Field(default=None, min_length=1)
    """How times are written, as in `%Y-%m-%dT%H:%M:%SZ`. By default `2020-12-07` for steps of whole days, else
    `2020-12-07T00:00:00Z`. They are UTC."""

    @model_validator(mode="after")
    def _is_used(self) -> Windows:
        only_places(self.params, {"from", "to"}, {"from"}, "from={from}&to={to}")
        return self


class Parent(Settings):
    """The endpoint is asked once for each record of another one. All of them are gone through, page by page."""

    endpoint: str
    """The endpoint that has the parents. It may have a parent itself."""
    field: Annotated[
        JsonPath | Annotated[tuple[JsonPath, ...], Field(min_length=1)], NamesFields(how="path", of_parents=True)
    ]
    """The parents' field that path, parameters or body name as `{parent.FIELD}`, such as `id`; a list of several."""
    include: Annotated[
        Mapping[Annotated[str, Field(min_length=1)], JsonPath], Frozen, NamesFields(how="path", of_parents=True)
    ] = Field(default_factory=none)
    """Fields of the parent that each record gets, by the name that they get, such as `harbour_code: code`. Those of
    `field` are always added, by default as `<endpoint>_<field>`, and so are those that the parent has from its own
    parent, under the same names."""

    @property
    def fields(self) -> tuple[str, ...]:
        """All of ``field``."""
        return (self.field,) if isinstance(self.field, str) else self.field


class Endpoint(Settings):
    """One list of records of an API. The stream that has its name takes them.

    In `path`, `params` and `body`, `{parent.FIELD}` stands for a parent's field.
    """

    path: str | None = Field(default=None, min_length=1)
    """The path below `base_url`. By default the endpoint's name."""
    method: Literal["GET", "POST"] = "GET"
    """How the endpoint is asked."""
    params: Parameters = Field(default_factory=none)
    """Parameters of every request: a mapping, or text such as `sort=updated&order=asc`."""
    headers: Annotated[Mapping[str, str], Frozen] = Field(default_factory=none)
    """Headers of every request."""
    body: Annotated[Mapping[str, Any], Frozen] | None = None
    """The JSON body of every request."""
    parameters_in: Literal["query", "body"] = "query"
    """Where the parameters of pages, cursors and windows go: into the query, or into the JSON body."""
    format: Literal["json", "ndjson", "csv"] | None = None
    """What the answers are written in; the source's by default."""
    csv: Csv | None = None
    """How CSV is written; the source's by default."""
    records: JsonPath | None = None
    """Where a JSON answer has its records; the source's by default."""
    allow_missing: bool = False
    """Whether an answer that has nothing at `records` is one without records, as of APIs that leave out empty lists.
    By default it is an error."""
    error: JsonPath | None = None
    """Where an answer says what went wrong, even with status 200; the source's by default."""
    pagination: Pagination | None = None
    """How there is more than one answer: `type:` and its settings, or the type alone; the source's by default."""
    incremental: Incremental | None = None
    """How only what is new is asked for."""
    windows: Windows | None = None
    """How single days are asked for."""
    parent: Parent | None = None
    """The endpoint for each of whose records this one is asked."""

    @model_validator(mode="after")
    def _fits(self) -> Endpoint:
        known = [] if self.parent is None else [f"parent.{field}" for field in self.parent.fields]
        named = places_in([self.path, self.params, self.body])
        for name in named:
            if name not in known:
                fix = f"there is {{{known[0]}}}" if known else "parent: has none to put there"
                if self.parent is not None or not name.startswith("parent"):
                    raise ValueError(f"{{{name}}} stands for nothing; {fix}")
                raise ValueError(f"{{{name}}} needs parent: {{endpoint: …, field: …}}")
        for name in known:
            if name not in named:
                raise ValueError(f"parent: is of no use: neither path, params nor body has {{{name}}}")
        if self.method == "GET" and (self.body is not None or self.parameters_in == "body"):
            raise ValueError("GET has no body; set method: POST")
        return self


class Http(HttpConnection, SourceSettings):
    """An HTTP API: its endpoints, each with a list of records."""

    type: Literal["http"]
    """Which kind of source this is."""
    concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    """How many requests are under way at a time."""
    format: Literal["json", "ndjson", "csv"] = "json"
    """What the answers are written in, where the endpoint does not say it."""
    csv: Csv = Field(default_factory=Csv.model_construct)
    """How CSV is written, where the endpoint does not say it."""
    records: JsonPath = "$"
    """Where a JSON answer has its records, where the endpoint does not say it: a key, a path such as `data.items` or
    `$.data[*].items`, or `$` for the whole answer. A list there holds records, an object is one."""
    error: JsonPath | None = None
    """Where an answer says what went wrong, even with status 200, such as `error`: when there is something, the load
    stops."""
    pagination: Pagination = Field(default_factory=NoPages.model_construct)
    """How there is more than one answer, where the endpoint does not say it."""
    endpoints: Annotated[Mapping[str, Endpoint], Frozen] = Field(min_length=1)
    """The lists of records, by the name of the stream that takes each."""

    def endpoint(self, name: str) -> Endpoint:
        """An endpoint, with what the source says for all."""
        endpoint = self.endpoints[name]
        shared = ("format", "csv", "records", "error", "pagination")
        given = {s: getattr(self, s) for s in shared if getattr(endpoint, s) is None}
        return endpoint.model_copy(update={**given, "path": name if endpoint.path is None else endpoint.path})

    def included(self, name: str) -> dict[str, str]:
        """What the records of an endpoint get of their parents: the field's name in them, and its path in the parent.

        Raises:
            ValueError: a name stands for two fields.
        """
        parent = self.endpoints[name].parent
        if parent is None:
            return {}
        inherited = self.included(parent.endpoint)
        columns = dict(parent.include)
        for field in (*parent.fields, *inherited):
            if field in columns.values():
                continue
            keys = "_".join(str(step) for step in parse_path(field))
            column = field if field in inherited else f"{parent.endpoint}_{keys}"
            if column in columns:
                raise ValueError(f"{column} would be both {columns[column]} and {field} of {parent.endpoint}")
            columns[column] = field
        return columns

    def problems(self, name: str, fed: Sequence[str], document: Document) -> Iterator[Problem]:
        """Endpoints and their parents have to fit each other."""
        del fed
        for called, endpoint in self.endpoints.items():
            path = ("sources", name, "endpoints", called)
            if endpoint.parent is not None:
                other = endpoint.parent.endpoint
                if other not in self.endpoints:
                    near = nearest(other, self.endpoints)
                    fix = f"did you mean {near}?" if near else f"there are {', '.join(self.endpoints)}"
                    yield document.problem((*path, "parent", "endpoint"), f"there is no endpoint {other!r}", fix)
                elif called in self._ancestors(called):
                    what = f"endpoint {called!r} would be asked for each of its own records"
                    yield document.problem((*path, "parent", "endpoint"), what, "name another endpoint as its parent")
                else:
                    try:
                        self.included(called)
                    except (KeyError, RecursionError):
                        pass  # what is wrong with its ancestors is told of them
                    except ValueError as e:
                        fix = "say in include: under which name each is wanted"
                        yield document.problem((*path, "parent", "include"), str(e), fix)
                if endpoint.incremental is not None and endpoint.incremental.order == "ascending":
                    what = "cannot be ascending over the records of many parents"
                    yield document.problem((*path, "incremental", "order"), what, "leave order out")

    def stream_problems(self, stream: str, name: str, document: Document, *, replaced: bool) -> Iterator[Problem]:
        """A stream takes the endpoint of its name."""
        if stream not in self.endpoints:
            near = nearest(stream, self.endpoints)
            there = f"there are {', '.join(self.endpoints)}; give the stream its name"
            fix = f"did you mean {near}?" if near else there
            yield document.problem(("streams", stream, "from"), f"source {name!r} has no endpoint {stream!r}", fix)
        elif replaced and self.endpoints[stream].incremental is not None:
            what = "replace takes all there is, and the endpoint's incremental asks for what is new"
            yield document.problem(("streams", stream, "disposition"), what, "take disposition append or merge")

    def _ancestors(self, name: str) -> set[str]:
        """The endpoints that an endpoint's parents come from, at any distance."""
        ancestors: set[str] = set()
        while (endpoint := self.endpoints.get(name)) and endpoint.parent and endpoint.parent.endpoint not in ancestors:
            name = endpoint.parent.endpoint
            ancestors.add(name)
        return ancestors
