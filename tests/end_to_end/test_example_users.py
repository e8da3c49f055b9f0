"""The example ``random_users``, as its README has it: from the API to a star schema, the same on both destinations."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from penstock import Session, load_project
from penstock.samples.sample_server import SampleServer
from penstock.samples.users import AS_OF, user
from tests.support import commands

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "random_users"
RUN_COLUMNS = {"_pen_load", "_pen_loaded_at", "_pen_origin"}
MODELS = {
    "dim_age_group",
    "dim_date",
    "dim_gender",
    "dim_location",
    "dim_nationality",
    "dim_user",
    "fct_user_registration",
}
UNSAFE = "select model, reason from penstock_changes.models where reason <> ''"
"""The models that are built whole although they ask for less, and why."""
SECRETS = ("login_password", "login_salt", "login_md5", "login_sha1", "login_sha256")


class Example:
    """The example in a folder of its own, fed by the sample server."""

    def __init__(self, folder: Path, api: str, postgres: str) -> None:
        self.folder = folder
        host, _, rest = postgres.removeprefix("postgresql://").partition("@")[2].partition(":")
        port, _, database = rest.partition("/")
        self.environ = {
            **os.environ,
            "RANDOM_USERS_URL": api,
            "PGHOST": host,
            "PGPORT": port,
            "PGUSER": "postgres",
            "PGPASSWORD": "not-a-secret",
            "PGDATABASE": database,
        }
        residue = shutil.ignore_patterns(".penstock", "*.duckdb*", "target", "logs", "lake")
        shutil.copytree(EXAMPLE, folder, ignore=residue)
        file = folder / "penstock.yml"
        file.write_text(file.read_text().replace("size: 250\n", "size: 100\n"))

    def penstock(self, *arguments: str) -> Any:
        """Run a command with ``--json`` and give what it printed."""
        done = commands.penstock(self.folder, *arguments, "--json", environ=self.environ)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def rows(self, target: str, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with self._session(target) as session:
            return [tuple(row) for row in session.destination.query(sql).rows]

    def tables(self, target: str, *schemas: str) -> dict[str, list[dict[str, Any]]]:
        """Every table and view → its rows as plain values."""
        found = {}
        with self._session(target) as session:
            names = session.destination.query(
                "select table_schema, table_name from information_schema.tables"
                f" where table_schema in ({', '.join(repr(s) for s in schemas)}) order by 1, 2"
            ).rows
            for schema, name in names:
                answer = session.destination.query(f'select * from {schema}."{name}"')
                rows = [dict(zip(answer.columns, map(_plain, row), strict=True)) for row in answer.rows]
                found[f"{schema}.{name}"] = rows
        return found

    def hashes(self, target: str) -> dict[str, str]:
        """Every table of data → a hash of its content, but for what tells one run from another."""
        found = {}
        for name, rows in self.tables(target, "raw", "staging", "marts").items():
            if not name.endswith("__delta"):
                texts = sorted(repr([(k, v) for k, v in row.items() if k not in RUN_COLUMNS]) for row in rows)
                found[name] = hashlib.sha256("\n".join(texts).encode()).hexdigest()
        return found

    def flat(self) -> list[dict[str, str]]:
        """The rows of the CSV files in the lake."""
        files = sorted((self.folder / "lake" / "users").rglob("*.csv"))
        csv.field_size_limit(1 << 24)
        return [row for file in files for row in csv.DictReader(file.open(encoding="utf-8", newline=""))]

    def _session(self, target: str) -> Session:
        return Session(load_project(self.folder, target=target, environ=self.environ))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value.normalize())
    if isinstance(value, dt.datetime) and value.tzinfo:
        return value.astimezone(dt.UTC).isoformat()
    return str(value) if hasattr(value, "hex") and not isinstance(value, float | bytes) else value


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    """The sample server."""
    with SampleServer.of("users", records=100_000) as server:
        yield server.url


@pytest.fixture
def example(tmp_path: Path, api: str, postgres_url: str) -> Example:
    """A copy of the example that has loaded nothing."""
    return Example(tmp_path / "random_users", api, postgres_url)


def _counts(report: Any) -> list[int]:
    [load] = report["loads"]
    return [load[n] for n in ("read", "landed", "duplicates", "quarantined")]


def _built(report: Any) -> set[str]:
    return {n["name"] for n in report["transform"]["nodes"] if n["kind"] == "model" and n["status"] == "success"}


@pytest.mark.slow
def test_from_the_api_to_a_star_schema(example: Example) -> None:
    """All users land once; what is built agrees with what was fetched; again nothing is landed nor built; a day adds
    its own users; and the other warehouse, built in one step from the lake alone, holds the same."""
    first = example.penstock("run")
    assert _counts(first) == [800, 800, 0, 0]
    assert _built(first) == {*MODELS, "stg_users"}
    tested = [n for n in first["transform"]["nodes"] if n["kind"] == "test"]
    assert len(tested) > 30
    assert {n["status"] for n in tested} == {"pass"}

    again = example.penstock("run")
    assert _counts(again) == [800, 0, 800, 0]
    assert again["transform"]["nodes"] == []
    before = example.rows("local", "select user_key from marts.fct_user_registration")
    assert _counts(example.penstock("run", "--date", "2025-07-01")) == [800, 800, 0, 0]
    later = example.penstock("run", "--date", "2025-07-01")
    assert later["loads"][0]["read"] == 0
    assert later["transform"]["nodes"] == []
    after = example.rows("local", "select user_key from marts.fct_user_registration")
    assert len(after) == 1600
    assert set(before) < set(after)

    flat = example.flat()
    users = {row["login_uuid"]: row for row in flat}
    assert len(users) == 1600
    assert {"location_street_number", "dob_age"} <= set(flat[0])
    assert not {name for row in flat for name in row} & set(SECRETS)
    _agrees(example, users)

    assert _counts(example.penstock("load", "--from-lake", "lake", "--target", "production"))[1] == 1600
    example.penstock("transform", "--target", "production")
    assert example.hashes("production") == example.hashes("local")
    assert example.rows("production", UNSAFE) == []
    answers = example.penstock("ask", "--all", "--target", "local")
    assert example.penstock("ask", "--all", "--target", "production") == answers
    _answered({a["name"]: a for a in answers}, list(users.values()))

    now = dt.datetime.fromtimestamp(AS_OF, dt.UTC)
    logins = [user(seed, n, now)["login"] for seed in ("penstock", "2025-07-01") for n in range(800)]
    assert {login["uuid"] for login in logins} == set(users)
    secrets = {login[name.removeprefix("login_")] for login in logins for name in SECRETS}
    assert len(secrets) > 4_500
    for target in ("local", "production"):
        dumped = json.dumps(example.tables(target, "raw", "staging", "marts", "penstock"), default=repr)
        # a salt of eight letters may be part of a longer word; the others are unmistakable
        words = set(dumped.replace('"', " ").split())
        assert not secrets & words
        assert not any(s in dumped for s in sorted(secrets)[:: len(secrets) // 60] if len(s) > 8)
        assert "password" not in dumped.lower()


def _agrees(example: Example, users: dict[str, dict[str, str]]) -> None:
    """The warehouse says of the users what the files say."""
    types = dict(
        example.rows(
            "local",
            "select column_name, data_type from information_schema.columns"
            " where table_schema = 'raw' and table_name = 'users'",
        )
    )
    assert types["login_uuid"] == types["_pen_id"] == "UUID"
    assert types["dob_date"] == types["registered_date"] == "TIMESTAMP WITH TIME ZONE"
    assert types["location_coordinates_latitude"] == "DECIMAL(9,6)"
    assert types["location_postcode"] == "VARCHAR"
    assert not set(SECRETS) & set(types)
    facts = example.rows(
        "local",
        "select cast(user_id as varchar), gender, nationality_code, age_group, l.postcode, l.city_name,"
        " cast(date_day as varchar), age_in_years, tenure_in_years, age_at_registration_in_years, registrations_count"
        " from marts.fct_user_registration"
        " join marts.dim_user using (user_key) join marts.dim_gender using (gender_key)"
        " join marts.dim_nationality using (nationality_key) join marts.dim_age_group using (age_group_key)"
        " join marts.dim_location l using (location_key) join marts.dim_date on registration_date_key = date_key",
    )
    assert len(facts) == len(users)
    for id_, gender, nationality, group, postcode, city, day, age, tenure, then, count in facts:
        known = users[id_]
        decade = int(known["dob_age"]) // 10 * 10
        assert (gender, nationality, postcode, city) == (
            known["gender"],
            known["nat"],
            known["location_postcode"],
            known["location_city"],
        )
        assert group == f"{decade} to {decade + 9}"
        assert day == known["registered_date"][:10]
        assert (age, tenure, count) == (int(known["dob_age"]), int(known["registered_age"]), 1)
        assert then == _years(known["dob_date"], known["registered_date"])
    nil = "00000000-0000-0000-0000-000000000000"
    for name in MODELS - {"dim_date", "fct_user_registration"}:
        assert example.rows("local", f"select count(*) from marts.{name} where {name[4:]}_key = '{nil}'") == [(1,)]
    assert example.rows("local", "select date_day from marts.dim_date where date_key = 0") == [(None,)]
    assert example.rows("local", "select count(*), max(first_age) from marts.dim_age_group") == [(12, 100)]


def _answered(answers: dict[str, Any], users: list[dict[str, str]]) -> None:
    """The questions' numbers are those of the files."""
    assert [a["problem"] for a in answers.values()] == [None] * 7
    assert answers["users"]["rows"] == [{"users": len(users)}]
    decades = [f"{d} to {d + 9}" for d in range(0, 100, 10)]
    group = {id(u): decades[int(u["dob_age"]) // 10] for u in users}
    ages = Counter(group.values())
    assert [tuple(r.values()) for r in answers["by_age_group"]["rows"]] == [
        *((decade, ages[decade]) for decade in decades),
        ("100 and over", 0),
    ]
    for name, column, field in (
        ("by_country", "nationality_code", "nat"),
        ("by_nationality", "country", "location_country"),
        ("by_gender", "gender", "gender"),
    ):
        counted = {r[column]: r["users"] for r in answers[name]["rows"]}
        assert counted == Counter(u[field] for u in users), name
    years = {str(r["registration_year"]): r["users"] for r in answers["by_year"]["rows"]}
    assert years == Counter(u["registered_date"][:4] for u in users)
    pyramid = {(r["country"], r["age_group"], r["gender"]): r["users"] for r in answers["age_pyramid"]["rows"]}
    assert len(pyramid) == len({u["nat"] for u in users}) * 11 * 2
    assert {k: n for k, n in pyramid.items() if n} == Counter(
        (u["location_country"], group[id(u)], u["gender"]) for u in users
    )


def _years(since: str, until: str) -> int:
    return int(until[:4]) - int(since[:4]) - (until[5:10] < since[5:10])


@pytest.mark.slow
def test_what_is_not_known_is_the_unknown_member(example: Example) -> None:
    """Users without gender, nationality, age, place or date count under the unknown members."""
    bare = {"login": {"uuid": "7a0eed16-9430-4d68-901f-c0d4c1c3bf00"}}
    strange = {"login": {"uuid": "7a0eed16-9430-4d68-901f-c0d4c1c3bf01"}, "dob": {"age": 107}, "gender": ""}
    (example.folder / "in").mkdir()
    (example.folder / "in" / "a.ndjson").write_text("\n".join(map(json.dumps, (bare, strange))))
    file = example.folder / "penstock.yml"
    text = file.read_text().replace("sources:\n", "sources:\n  files: {type: files, path: in}\n", 1)
    file.write_text(
        text.replace("from: generator", "from: files").replace(
            "    land: true", "    land: false\n    allow_missing: true"
        )
    )
    example.penstock("run")
    found = example.rows(
        "local",
        "select gender, country_name, age_group, registration_date_key"
        " from marts.fct_user_registration join marts.dim_gender using (gender_key)"
        " join marts.dim_location using (location_key) join marts.dim_age_group using (age_group_key) order by 3",
    )
    assert found == [("(unknown)", "(unknown)", "(unknown)", 0), ("(unknown)", "(unknown)", "100 and over", 0)]
    assert example.rows("local", "select country_name from marts.dim_location") == [("(unknown)",)]


def test_every_model_is_built_as_it_asks(example: Example) -> None:
    """No model that names its scope is built whole for not being safe; a step adds the places of new users."""
    example.penstock("run")
    assert example.rows("local", UNSAFE) == []
    mode = "select mode from penstock_changes.models where model = 'marts.dim_location'"
    assert example.rows("local", mode) == [("scope",)]
    places = "select * from marts.dim_location"
    before = set(example.rows("local", places))
    example.penstock("run", "--date", "2025-07-01")
    known = set(example.rows("local", places))
    lived_in = "select distinct country_name, state_name, city_name, postcode from staging.stg_users"
    assert before < known
    assert {place[1:] for place in known} == {*example.rows("local", lived_in), ("(unknown)", None, None, None)}
