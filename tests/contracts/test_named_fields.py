"""Fields that ``penstock.yml`` names and no record has: every such setting is noticed, on both warehouses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from penstock.cli.app import app
from penstock.doctor.examine import examine
from penstock.doctor.status import read_status
from penstock.errors import ContractError, ProjectError, SourceError
from penstock.land.loop import Landed
from penstock.land.session import Session
from penstock.project import load_project
from penstock.project.fields import NamesFields
from penstock.project.http import Endpoint, Incremental, Parent
from penstock.project.settings import Stream
from penstock.runs.consume import Consumer
from penstock.runs.plan import plan_loads
from tests.support.api import Api, Asked, said
from tests.support.fixtures import EMBEDDED, slow_on_postgres
from tests.support.queues import a_queue, publish, until, waiting

RECORDS: list[dict[str, Any]] = [
    {"id": 1, "email": "ada@mail.example", "login": {"password": "x", "name": "ada"}, "at": "2026-01-01T00:00:00Z"},
    {"id": 2, "email": None, "login": {}, "at": None},
]
TYPO = "emial"

FIELDS: dict[tuple[type[BaseModel], str], Mapping[str, Any]] = {
    (Stream, "event_time"): {"event_time": TYPO},
    (Stream, "identity"): {"identity": [TYPO]},
    (Stream, "version"): {"identity": ["id"], "disposition": "merge", "version": TYPO},
    (Stream, "columns"): {"columns": {TYPO: "text"}},
    (Stream, "pii"): {"pii": ["id", TYPO]},
    (Stream, "subject"): {"subject": {"customer": TYPO}},
    (Stream, "drop"): {"drop": ["login.password", TYPO]},
}
"""Every setting of a stream that names a field, with a misspelt one."""
ENDPOINT_FIELDS: dict[tuple[type[BaseModel], str], Mapping[str, Any]] = {
    (Incremental, "field"): {"incremental": {"field": TYPO, "params": "since={cursor}"}},
    (Parent, "include"): {
        "path": "lists/{parent.email}/users",
        "parent": {"endpoint": "lists", "field": "email", "include": {"of": TYPO}},
    },
    (Parent, "field"): {"path": f"lists/{{parent.{TYPO}}}/users", "parent": {"endpoint": "lists", "field": TYPO}},
}
"""Every setting of an endpoint, likewise. A page's cursor is the source's own to miss."""
OTHERS = {
    *("Stream.from", "Stream.disposition", "Contract.columns", "Contract.types", "Schedule.cron", "Schedule.timezone"),
    *(
        "Schedule.missed",
        "Expectation.severity",
        "RowCount.per",
        "Quarantined.at_most",
        "Stream.expect",
        "Stream.schedule",
    ),
    *("Endpoint.path", "Endpoint.method", "Endpoint.params", "Endpoint.headers", "Endpoint.body", "Endpoint.format"),
    *("Endpoint.parameters_in", "Endpoint.records", "Endpoint.error", "Csv.delimiter", "Csv.quote", "Csv.null_values"),
    *("Page.type", "Page.param", "Page.size_param", "Page.pages", "Page.total", "Page.total_header"),
    *("Offset.type", "Offset.param", "Offset.limit_param", "Offset.total", "Offset.total_header"),
    *("Cursor.type", "Cursor.path", "Cursor.param", "Cursor.more", "Cursor.size_param", "NextLink.type"),
    *("NextLink.path", "LinkHeader.type", "NoPages.type", "Incremental.params", "Incremental.initial"),
    *("Incremental.type", "Incremental.order", "Incremental.format", "Windows.params", "Windows.format"),
    *("Parent.endpoint", "Csv.header"),
}
"""Settings that hold text and name no field of the stream's records."""


def texts_of(group: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[tuple[type[BaseModel], str, Any]]:
    """The settings of a group and the groups in it that can hold text."""
    if group in seen:
        return
    seen.add(group)
    for name, info in group.model_fields.items():
        kinds = list(parts(info.annotation))
        if any(kind is str or getattr(kind, "__name__", "") in ("Identity", "Literal") for kind in kinds):
            yield group, info.alias or name, info
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from texts_of(kind, seen)


def parts(annotation: Any) -> Iterator[Any]:
    """All types in an annotation."""
    yield annotation
    for inner in get_args(annotation):
        if isinstance(inner, str):
            yield str
        else:
            yield from parts(inner)


def test_every_setting_is_known() -> None:
    """A setting that holds text either names fields, says so, and is tried below; or stands among the others."""
    for root, tried in ((Stream, FIELDS), (Endpoint, ENDPOINT_FIELDS)):
        marked, others = set(), set()
        for group, name, info in texts_of(root, set()):
            if any(isinstance(mark, NamesFields) for mark in info.metadata):
                marked.add((group, name))
            else:
                others.add(f"{group.__name__}.{name}")
        assert marked - {g for g in marked if g[0].__name__ == "Cursor"} == set(tried)
        assert others <= OTHERS, "a new setting: does it name a field?"


def a_project(folder: Path, source: Mapping[str, Any], stream: Mapping[str, Any], warehouse: Any = EMBEDDED) -> Path:
    """A project with one stream, ``users``, and no models."""
    folder.mkdir(exist_ok=True)
    settings = {
        "name": "people",
        "destinations": {"here": warehouse},
        "sources": {"source": source},
        "streams": {"users": {"from": "source", **stream}},
        "privacy": {"keys": {"v1": "a key for these tests only"}},
        "transform": False,
    }
    (folder / "penstock.yml").write_text(json.dumps(settings))
    return folder


def load(folder: Path) -> Landed:
    """Load the stream."""
    project = load_project(folder)
    (step,) = plan_loads(project)
    with Session(project) as session:
        return session.load(step)


def status(folder: Path) -> list[str]:
    """The warnings in the status."""
    warnings: list[str] = read_status(load_project(folder))["warnings"]
    return warnings


def filed(folder: Path, records: list[dict[str, Any]], name: str = "a") -> dict[str, Any]:
    """A source of files with these records."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "data" / f"{name}.ndjson").write_text("".join(f"{json.dumps(r)}\n" for r in records))
    return {"type": "files", "path": "data/*"}


@slow_on_postgres("warehouse")
@pytest.mark.parametrize("setting", FIELDS, ids=lambda s: s[1])
def test_a_misspelt_field(warehouse: dict[str, Any], tmp_path: Path, setting: tuple[type[BaseModel], str]) -> None:
    """It is told by the load, in the status and by the doctor, with the name that was meant. ``pii`` and ``drop`` stop
    the load before anything lands, unless the field may be missing."""
    folder = tmp_path / "project"
    stream = {**FIELDS[setting], "flatten": setting[1] in ("columns", "drop", "subject")}
    source = filed(folder, RECORDS)
    a_project(folder, source, stream, warehouse)
    vital = setting[1] in ("pii", "drop")
    found = [check for check in examine(folder, None) if check.name == "fields of users"]
    assert [(check.ok, check.warns) for check in found] == [(not vital, True)]
    assert f"{setting[1]}: names 'emial'" in found[0].detail and "did you mean 'email'" in found[0].detail
    if vital:
        with pytest.raises(ContractError, match=f"{setting[1]}: names 'emial'.*nothing landed") as stopped:
            load(folder)
        assert "did you mean 'email'" in stopped.value.fix and "allow_missing: true" in stopped.value.fix
        assert status(folder) == [] and read_status(load_project(folder))["loads"] == []
        a_project(folder, source, {**stream, "allow_missing": True}, warehouse)
    (warning,) = load(folder).warnings
    assert warning == found[0].detail and status(folder) == [warning]
    assert load(folder).warnings == [warning], "nothing new, and the name is as wrong as it was"
    filed(folder, [{**RECORDS[0], "id": 3, TYPO: "2026-01-01T00:00:00Z"}], "b")
    assert load(folder).warnings == [] and status(folder) == [], "the field has come"
    filed(folder, [{**RECORDS[0], "id": 4}], "c")
    a_project(folder, source, stream, warehouse)
    assert load(folder).warnings == [], "it came once"


@pytest.mark.parametrize(
    "setting",
    [*ENDPOINT_FIELDS, *(pytest.param(f, marks=pytest.mark.slow) for f in FIELDS)],
    ids=lambda s: f"{s[0].__name__}.{s[1]}",
)
def test_a_misspelt_field_of_an_api(tmp_path: Path, setting: tuple[type[BaseModel], str]) -> None:
    """An API's records, and those of its parents, are looked at as well; children without a parent's field are an
    error."""

    def answer(asked: Asked) -> Any:
        return said([{"email": "list"}] if asked.path == "/lists" else RECORDS)

    with Api(answer) as api:
        endpoints = {"users": ENDPOINT_FIELDS.get(setting, {}), "lists": {}}
        source = {"type": "http", "base_url": api.url, "endpoints": endpoints}
        folder = a_project(tmp_path / "p", source, {**FIELDS.get(setting, {}), "allow_missing": True})
        try:
            (told,) = load(folder).warnings
        except SourceError as e:  # without a parent's field there is nothing to ask for
            assert setting == (Parent, "field")
            told = str(e)
    if setting == (Parent, "include"):
        assert "no record of lists has what include: puts into of" in told
    else:
        assert TYPO in told and "email" in told.partition(TYPO)[2]


def test_fields_that_are_there(tmp_path: Path) -> None:
    """However a field is spelt, nested, in an array, with a point or null: a setting that names it is not taken for a
    mistake; nor are fields of CSV files that are always empty."""
    folder = tmp_path / "p"
    records: list[dict[str, Any]] = [
        {
            "a": {"b": {"c": None}},
            "list": [{"secret": 1}, 2],
            "x.y": 1,
            "größe": 1,
            "e": {},
            "z_q": {"w": 1},
            "t": None,
        },
        *({"n": n} for n in range(400)),
        {"late": 1},
    ]
    named: dict[str, Any] = {"drop": ["list.secret", "a.b"], "pii": ["x.y", "größe", "late"], "columns": {"t": "text"}}
    a_project(folder, filed(folder, records), named)
    assert load(folder).warnings == []
    flat = tmp_path / "flat"
    named = {"drop": ["a"], "pii": ["x.y", "z_q_w", "größe", "late"], "subject": {"one": "x_y"}, "flatten": True}
    a_project(flat, filed(flat, records), named)
    assert load(flat).warnings == []
    csv = tmp_path / "csv"
    (csv / "data").mkdir(parents=True)
    (csv / "data" / "a.csv").write_text("id,email,phone\n1,,\n2,,\n")
    a_project(csv, {"type": "files", "path": "data/*"}, {"pii": ["email"], "columns": {"phone": "text"}})
    assert load(csv).warnings == []


def test_what_was_loaded_before_goes_on(tmp_path: Path) -> None:
    """A stream whose ledger does not say yet what came is not stopped, but warned of; a field that is named later is
    judged by what comes then."""
    folder = tmp_path / "p"
    source = filed(folder, RECORDS)
    a_project(folder, source, {"identity": ["id"]})
    load(folder)
    project = load_project(folder)
    with Session(project) as session:
        session.destination.query("delete from penstock.positions where source <> 'source'")
    filed(folder, [{"id": 5}], "b")
    a_project(folder, source, {"identity": ["id"], "drop": ["login.pass"], "pii": ["email"]})
    assert ["'login.pass'" in w for w in load(folder).warnings] == [True]
    a_project(folder, source, {"identity": ["id"], "drop": ["login.pass"], "pii": ["phone"]})
    filed(folder, [{"id": 6}], "c")
    with pytest.raises(ContractError, match="'phone'"):
        load(folder)


def test_messages_stay_in_the_queue(tmp_path: Path, rabbitmq_url: str) -> None:
    """A consumer stops before anything lands, too: the messages stay where they are. Other names are warned of."""
    queue = a_queue(rabbitmq_url)
    publish(queue, [json.dumps(record).encode() for record in RECORDS])
    source = {"type": "rabbitmq", "url": rabbitmq_url, "queue": queue.queue}
    folder = a_project(tmp_path / "p", source, {"drop": [TYPO]})
    with pytest.raises(ContractError, match="drop: names 'emial'"):
        Consumer(load_project(folder), "users", "source", until_empty=True).run()
    until(lambda: waiting(queue) == 2, "the messages are in the queue")
    assert read_status(load_project(folder))["loads"] == []
    a_project(folder, source, {"drop": ["login.password"], "event_time": TYPO})
    Consumer(load_project(folder), "users", "source", until_empty=True).run()
    assert ["did you mean 'email'" in warning for warning in status(folder)] == [True]


def test_commands_tell(tmp_path: Path) -> None:
    """The warning is on standard error, in ``--json``, and in ``status``; ``doctor`` has it as such and succeeds."""
    folder = tmp_path / "p"
    a_project(folder, filed(folder, RECORDS), {"event_time": TYPO})

    def call(*words: str) -> Any:
        return CliRunner().invoke(app, [*words, "--project-dir", str(folder)])

    checked = call("doctor")
    assert checked.exit_code == 0 and "warn  fields of users: " in checked.stdout
    loaded = call("load")
    assert "warning: stream users: event_time: names 'emial'" in loaded.stderr and "warning" not in loaded.stdout
    (entry,) = json.loads(call("load", "--json").stdout)["loads"]
    assert ["did you mean 'email'?" in warning for warning in entry["warnings"]] == [True]
    assert "warning: stream users" in call("status").stdout
    assert len(json.loads(call("status", "--json").stdout)["warnings"]) == 1


def test_the_id_of_a_message_that_is_none(tmp_path: Path) -> None:
    """Records of files and APIs have no message whose id they could be known by, which the project's reading says."""
    apis = {"type": "http", "base_url": "http://127.0.0.1:9", "endpoints": {"users": {}}}
    for source in (filed(tmp_path / "p", RECORDS), apis):
        a_project(tmp_path / "p", source, {"identity": "message"})
        with pytest.raises(ProjectError, match="only messages of a queue have an id"):
            load_project(tmp_path / "p")
