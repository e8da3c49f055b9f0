"""What a right ``penstock.yml`` means."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from penstock.errors import ProjectError
from penstock.project import (
    DuckDB,
    Files,
    Identity,
    Postgres,
    Project,
    find_project,
    load_project,
)
from tools.reference.configuration import project_schema

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "user_events"

FULL = """\
name: user_events
target: local
destinations:
  local: { type: duckdb, path: warehouse.duckdb, memory_limit: 2GB }
  production:
    type: postgres
    host: db.example
    user: loader
    password: "${PGPASSWORD}"
    database: events
sources:
  event_files: { type: files, path: "data/user_events/**" }
  more: { type: files, path: [a/*.csv, b], format: csv, csv: { delimiter: ";", null_values: ["", "NA"] } }
streams:
  user_events:
    from: [event_files, more]
    event_time: received_at
    identity: content
    contract: rescue
    columns: { id: VARCHAR(20), received_at: datetime, price: "numeric(10, 2)", rest: decimal, n: int }
    max_record_bytes: 16MB
  users:
    from: more
    identity: [id, tenant]
    disposition: merge
    version: seq
load: { batch_bytes: 4MiB, commit_bytes: 64000000 }
transform: { threads: 2 }
"""


def project(folder: Path, text: str, environ: dict[str, str] | None = None, **options: Any) -> Project:
    (folder / "penstock.yml").write_text(text, encoding="utf-8")
    return load_project(folder, environ=environ or {}, **options)


def small(folder: Path, streams: str = "", environ: dict[str, str] | None = None) -> Project:
    head = "name: p\ndestinations: {local: {type: duckdb, path: w.duckdb}}\nsources: {s: {type: files, path: d}}\n"
    return project(folder, head + streams, environ)


def test_every_setting_arrives_typed(tmp_path: Path) -> None:
    """Each setting of the file is an attribute of its own type."""
    found = project(tmp_path, FULL)
    assert found.name == "user_events"
    assert found.target == "local"
    assert found.directory == tmp_path
    assert isinstance(found.destination, DuckDB)
    assert found.destination.path == tmp_path / "warehouse.duckdb"
    assert found.destination.memory_limit == "2GB"
    files, more = found.sources["event_files"], found.sources["more"]
    assert isinstance(files, Files)
    assert isinstance(more, Files)
    assert files.path == ("data/user_events/**",)
    assert more.csv.delimiter == ";"
    assert more.csv.null_values == ("", "NA")
    events = found.streams["user_events"]
    assert events.from_ == ("event_files", "more")
    assert events.identity == Identity("content")
    assert (events.contract.columns, events.contract.types) == ("rescue", "rescue")
    assert dict(events.columns) == {
        "id": "text",
        "received_at": "timestamp",
        "price": "decimal(10,2)",
        "rest": "decimal(38,9)",
        "n": "bigint",
    }
    assert events.max_record_bytes == 16_000_000
    users = found.streams["users"]
    assert users.identity == Identity("fields", ("id", "tenant"))
    assert (users.disposition, users.version) == ("merge", "seq")
    assert (found.load.batch_bytes, found.load.commit_bytes) == (4 << 20, 64_000_000)
    assert found.transform is not None
    assert found.transform.threads == 2


def test_defaults_are_the_documented_ones(tmp_path: Path) -> None:
    """What the file leaves out has the default that the reference names."""
    found = small(tmp_path, "streams: {e: {from: s}}")
    stream = found.streams["e"]
    assert found.target == "local"
    assert stream.identity == Identity("content")
    assert stream.disposition == "append"
    assert (stream.contract.columns, stream.contract.types) == ("evolve", "rescue")
    assert stream.max_record_bytes == 16 << 20
    assert (found.load.batch_bytes, found.load.commit_bytes) == (8 << 20, None)
    assert found.transform is not None
    assert found.transform.threads == 8


def test_a_project_cannot_be_changed(tmp_path: Path) -> None:
    """A loaded project is frozen to its leaves."""
    found = project(tmp_path, FULL)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.name = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        found.streams["users"].event_time = "at"  # type: ignore[misc]
    with pytest.raises(TypeError):
        found.streams["users"].columns["id"] = "text"  # type: ignore[index]
    with pytest.raises(TypeError):
        found.streams["other"] = found.streams["users"]  # type: ignore[index]


@pytest.mark.parametrize("word", ["false", "no", '"false"'])
def test_a_project_may_have_no_models(tmp_path: Path, word: str) -> None:
    """``transform: false`` says that there is no dbt project."""
    assert small(tmp_path, f"transform: {word}").transform is None


def test_transform_true_is_the_default(tmp_path: Path) -> None:
    """``transform: true`` and an empty ``transform:`` mean dbt with its defaults."""
    for word in ("true", ""):
        found = small(tmp_path, f"transform: {word}").transform
        assert found is not None
        assert found.threads == 8


@pytest.mark.parametrize(
    ("written", "meant"),
    [("1000", 1000), ("16MB", 16_000_000), ("16 MiB", 16 << 20), ("1.5kB", 1500), ('"8kib"', 8192), ("1 GB", None)],
)
def test_sizes_have_units(tmp_path: Path, written: str, meant: int | None) -> None:
    """MB is a million bytes, MiB is 2^20; over 256 MiB a record is refused."""
    text = f"streams: {{e: {{from: s, max_record_bytes: {written}}}}}"
    if meant is None:
        with pytest.raises(ProjectError, match="max_record_bytes"):
            small(tmp_path, text)
    else:
        assert small(tmp_path, text).streams["e"].max_record_bytes == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("string", "text"),
        ("Integer", "bigint"),
        ("float", "double"),
        ("double precision", "double"),
        ("numeric", "decimal(38,9)"),
        ("decimal(12)", "decimal(12,0)"),
        ("bool", "boolean"),
        ("datetime", "timestamp"),
        ("timestamp with time zone", "timestamptz"),
        ("jsonb", "json"),
        ("uuid", "uuid"),
        ("date", "date"),
    ],
)
def test_types_have_aliases(tmp_path: Path, written: str, meant: str) -> None:
    """Common names of a type mean the one that Penstock uses."""
    found = small(tmp_path, f'streams: {{e: {{from: s, columns: {{a: "{written}"}}}}}}')
    assert found.streams["e"].columns["a"] == meant


@pytest.mark.parametrize("word", ["no", "0123", "1_000", "12:30:00", "2020-12-07", "1e3", "~x", "on"])
def test_text_stays_text(tmp_path: Path, word: str) -> None:
    """YAML's guesses at what a bare word might mean are not followed."""
    found = project(tmp_path, f"name: p\ndestinations: {{d: {{type: postgres, password: {word}}}}}")
    assert isinstance(found.destination, Postgres)
    assert found.destination.password is not None
    assert found.destination.password.get_secret_value() == word


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    """A group can be written once and used again, and a key of one's own wins over a merged one."""
    streams = (
        "streams:\n  a: &a {from: s, max_record_bytes: 1}\n"
        "  b: {<<: *a, event_time: at, max_record_bytes: 2}\n  c: *a\n"
    )
    found = small(tmp_path, streams)
    assert found.streams["b"].from_ == ("s",)
    assert (found.streams["b"].event_time, found.streams["b"].max_record_bytes) == ("at", 2)
    assert found.streams["c"] == found.streams["a"]


def test_a_url_is_all_of_a_connection(tmp_path: Path) -> None:
    """A url is taken apart, its escapes decoded, and its password kept secret."""
    url = "postgresql://lo%40der:p%3Ass@[::1]:6543/events?sslmode=require&connect_timeout=3"
    found = project(tmp_path, f'name: p\ndestinations: {{d: {{type: postgres, url: "{url}"}}}}').destination
    assert isinstance(found, Postgres)
    assert (found.host, found.port, found.user, found.database) == ("::1", 6543, "lo@der", "events")
    assert found.password is not None
    assert found.password.get_secret_value() == "p:ss"
    assert (found.sslmode, dict(found.parameters)) == ("require", {"connect_timeout": "3"})
    assert "p:ss" not in repr(found)


def test_a_url_can_name_a_socket(tmp_path: Path) -> None:
    """The folder of a Unix socket goes where libpq's URLs have it, letters as written."""
    for url in ("postgresql://u@%2FRun%2Fpg/db", "postgresql:///db?host=/Run/pg&user=u"):
        found = project(tmp_path, f'name: p\ndestinations: {{d: {{type: postgres, url: "{url}"}}}}').destination
        assert isinstance(found, Postgres)
        assert (found.host, found.user, found.database) == ("/Run/pg", "u", "db")


def test_conninfo_escapes_what_libpq_would_split(tmp_path: Path) -> None:
    """Spaces, quotes and backslashes of a password survive; the masked form has none of it."""
    text = 'name: p\ndestinations:\n  d: {type: postgres, user: u, password: "a \'b\\\\c", database: x}'
    found = project(tmp_path, text).destination
    assert isinstance(found, Postgres)
    assert "password='a \\'b\\\\c'" in found.conninfo()
    assert "password=*****" in found.conninfo(masked=True)
    from psycopg.conninfo import conninfo_to_dict

    assert conninfo_to_dict(found.conninfo())["password"] == "a 'b\\c"


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    """Neither repr nor the masked view nor an error has the password."""
    found = project(tmp_path, FULL, {"PGPASSWORD": "hunter2"}, target="production")
    assert "hunter2" not in repr(found)
    assert "hunter2" not in str(found.destination)
    assert "hunter2" not in json.dumps(found.masked())
    assert found.masked()["destinations"]["production"]["password"] == "*****"
    with pytest.raises(ProjectError) as caught:
        project(tmp_path, FULL.replace("password:", "sslmode:"), {"PGPASSWORD": "hunter2"}, target="production")
    assert "destinations.production.sslmode" in str(caught.value)
    bad = "name: p\ndestinations: {d: {type: postgres, url: 'mysql://u:hunter2@h/d'}}"
    with pytest.raises(ProjectError) as caught:
        project(tmp_path, bad)
    assert "hunter2" not in str(caught.value)


def test_the_masked_view_is_the_file_again(tmp_path: Path) -> None:
    """Apart from secrets, ``masked()`` has every setting in the file's own words."""
    shown = project(tmp_path, FULL).masked()
    assert shown["streams"]["users"]["from"] == ["more"]
    assert shown["streams"]["users"]["identity"] == ["id", "tenant"]
    assert shown["streams"]["user_events"]["identity"] == "content"
    assert json.loads(json.dumps(shown)) == shown


def test_find_project_looks_upwards(tmp_path: Path) -> None:
    """From a folder inside a project, the project is found; outside there is an error with the fix."""
    (tmp_path / "penstock.yml").write_text("name: p")
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    assert find_project(inside) == tmp_path
    (tmp_path / "penstock.yml").unlink()
    with pytest.raises(ProjectError, match="penstock init"):
        find_project(inside)


def test_the_schema_describes_every_setting() -> None:
    """Every setting in the JSON Schema has a description, so that editors can show it."""
    schema = project_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for group in [schema, *schema["$defs"].values()]:
        assert group["additionalProperties"] is False
        for name, setting in group["properties"].items():
            assert "description" in setting or "$ref" in setting, name


def test_the_example_loads_for_both_destinations() -> None:
    """The example needs no variable for DuckDB, and for PostgreSQL only the password."""
    found = load_project(EXAMPLE, environ={})
    assert (found.target, found.destination.type) == ("local", "duckdb")
    found = load_project(EXAMPLE, target="production", environ={"PGPASSWORD": "x"})
    assert isinstance(found.destination, Postgres)
    assert (found.destination.host, found.destination.port) == ("localhost", 5432)
    with pytest.raises(ProjectError, match="PGPASSWORD is not set"):
        load_project(EXAMPLE, target="production", environ={})


def test_loading_is_quick(tmp_path: Path) -> None:
    """A project of 50 streams loads in well under 300 ms (about 15 ms on an idle machine)."""
    streams = "".join(f"  s{i}: {{from: s, columns: {{a: text, b: bigint}}}}\n" for i in range(50))
    small(tmp_path)
    begun = time.perf_counter()
    small(tmp_path, f"streams:\n{streams}")
    assert time.perf_counter() - begun < 0.3
