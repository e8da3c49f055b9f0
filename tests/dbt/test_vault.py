"""The vault's laws: only added to, the same for every order and split, in steps and at once, on each engine."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.dbt import vaults
from tests.dbt.vaults import Record, content, key, land
from tests.dbt.warehouse import ROOT, Warehouse

Open = Callable[[str, str], Warehouse]

START = datetime(2024, 2, 27)
SNAPSHOTS = [START + timedelta(days=day, hours=12) for day in (-1, 1, 3, 20)]
GHOSTS = {vaults.UNKNOWN, vaults.REQUIRED}
STORED = vaults.TABLES[:7]


@pytest.fixture(params=["duckdb", "postgres"])
def vault(request: pytest.FixtureRequest, open_warehouse: Open) -> Warehouse:
    """An empty warehouse of each kind, with the raw tables of the vault's project."""
    warehouse = open_warehouse(request.param, "vault")
    vaults.prepare(warehouse)
    return warehouse


def customer(who: str, day: float, **said: Any) -> Record:
    """What is said of a customer from a day on."""
    empty = dict.fromkeys(vaults.COLUMNS["customers"])
    return {**empty, "customer_id": who, "updated_at": START + timedelta(days=day), **said}


def rental(renter: str | None, plate: str | None, day: int, **said: Any) -> Record:
    """A car taken by somebody on a day."""
    at = START + timedelta(days=day)
    empty = dict.fromkeys(vaults.COLUMNS["rentals"])
    return {**empty, "renter": renter, "country": "NO", "plate": plate, "since": at, "said_at": at, **said}


def stories(chance: random.Random, trials: int) -> dict[str, list[Record]]:
    """Few values and coarse times, so that states repeat and instants are shared; keys of each trial's own."""
    customers, rentals = [], []
    for trial in range(trials):
        for _ in range(chance.randint(2, 7)):
            customers.append(
                customer(
                    f"{trial}/{chance.choice('ab')}",
                    chance.randint(0, 4),
                    name=chance.choice(["Ann", "ann", "Ann ", "", None]),
                    city=chance.choice(["Oslo", None]),
                    credit=chance.choice([0.1, 1e20, 5e-324, 1.0, None]),
                    version=chance.choice([None, 1, 2]),
                    gone=chance.choice([None, False, False, True]),
                )
            )
        for _ in range(chance.randint(2, 6)):
            rentals.append(
                rental(
                    chance.choice([f"{trial}/a", f"{trial}/c", None]),
                    chance.choice([f"x{trial}", f" X{trial} ", "", None]),
                    chance.randint(0, 4),
                    until=START + timedelta(days=chance.randint(0, 9)) if chance.random() < 0.5 else None,
                    returned=chance.random() < 0.2,
                    said_at=START + timedelta(days=chance.randint(0, 9)),
                )
            )
    customers += [customer("timeless", 0, updated_at=None), {**customer("x", 1), "customer_id": None}]
    return {"customers": customers, "rentals": rentals}


def snapshots(vault: Warehouse, instants: list[datetime]) -> None:
    """Ask for further instants."""
    vault.execute("insert into raw.snapshots values " + ", ".join(f"('{at}')" for at in instants))


def written(vault: Warehouse) -> dict[str, set[Any]]:
    """What changes when a row is written again."""
    mark = "rowid" if vault.engine == "duckdb" else "ctid::text || xmin::text"
    return {table: set(vault.rows(f"select {mark} from vault.{table}")) for table in (*STORED, "pit_customer")}


def bare(value: Any) -> Any:
    """Keys without hyphens."""
    return value.hex if hasattr(value, "hex") and not isinstance(value, float) else value


@pytest.mark.parametrize(
    ("vault", "trials"),
    [
        ("duckdb", 20),
        pytest.param("postgres", 20, marks=pytest.mark.slow),
        pytest.param("duckdb", 60, marks=pytest.mark.slow),
        pytest.param("postgres", 60, marks=pytest.mark.slow),
    ],
    indirect=["vault"],
)
def test_every_order_and_split_gives_what_python_expects(vault: Warehouse, trials: int) -> None:
    """Many stories, each cut and shuffled over four steps in its own way, against the model; then a full refresh."""
    chance = random.Random(41)
    told = stories(chance, trials)
    steps: list[dict[str, list[Record]]] = [{"customers": [], "rentals": []} for _ in range(4)]
    for stream, records in told.items():
        for record in [*records, *chance.sample(records, 20)]:
            steps[chance.randrange(4)][stream].append(record)
    seq = 0
    before: dict[str, set[Any]] = {}
    for number, step in enumerate(steps):
        for stream, records in step.items():
            seq += 1
            chance.shuffle(records)
            land(vault, stream, records, seq, load_id=9000 - 100 * seq)
        if number in (0, 2):
            snapshots(vault, SNAPSHOTS[number : number + 2])
        vault.dbt("run", "--exclude", "vectors", "canonicals")
        now = written(vault)
        assert all(before.get(table, set()) <= now[table] for table in STORED), "only added to"
        before = now
    vault.dbt("run", "--exclude", "vectors", "canonicals")
    assert written(vault) == before, "again is nothing"

    found = vault.rows("select hub_customer_hk, name, city, credit, valid_from, valid_to from vault.customer_versions")
    versions = {tuple(map(bare, row)) for row in found if bare(row[0]) not in GHOSTS}
    assert versions == vaults.customer_versions(told["customers"])
    found = vault.rows("select link_rental_hk, hub_car_hk, valid_from, valid_to from vault.rental_periods")
    periods = {tuple(map(bare, row)) for row in found if bare(row[0]) not in GHOSTS}
    assert periods == vaults.rental_periods(told["rentals"])
    hub = {bare(row[0]) for row in vault.rows("select hub_customer_hk from vault.hub_customer")}
    named = {r["customer_id"] for r in told["customers"]} | {r["renter"] for r in told["rentals"]}
    assert hub == {key(name) for name in named if name is not None} | GHOSTS
    links = {tuple(map(bare, row)) for row in vault.rows("select link_rental_hk, hub_car_hk from vault.link_rental")}
    assert links - {(ghost, ghost) for ghost in GHOSTS} == {vaults.relation(r) for r in told["rentals"]}
    pointed = vault.rows(
        "select hub_customer_hk, snapshot_at, sat_customer_hk, sat_customer_applied_at from vault.pit_customer"
    )
    nothing = (vaults.UNKNOWN, datetime(1900, 1, 1))
    expected = {}
    for name in hub - {vaults.REQUIRED}:
        for at in SNAPSHOTS:
            held = [v[4] for v in versions if v[0] == name and v[4] <= at and (v[5] is None or at < v[5])]
            expected[name, at] = (name, held[0]) if held else nothing
    assert {(bare(a), b): (bare(c), d) for a, b, c, d in pointed if bare(a) != vaults.REQUIRED} == expected
    joined = vault.rows(
        "select count(*) from vault.pit_customer as pit join vault.sat_customer as sat on sat.hub_customer_hk ="
        " pit.sat_customer_hk and sat.applied_at = pit.sat_customer_applied_at"
        " and sat.hash_diff = pit.sat_customer_hash_diff and sat.sequence_hash = pit.sat_customer_sequence_hash"
    )
    assert joined == [(len(pointed),)], "every pointer meets one row, a ghost where nothing was known"

    stepwise = content(vault, but=())
    vault.dbt("run", "--full-refresh", "--exclude", "vectors", "canonicals")
    assert content(vault, but=()) == stepwise, "incremental is full, load dates too"


def test_a_late_row_begins_when_it_says(vault: Warehouse) -> None:
    """A@1 and B@3 are there, then B@2 comes: B begins at 2. Then A@4 and A@2 come: A, B, A."""
    snapshots(vault, [START + timedelta(days=2)])
    models = ("-s", "hub_customer", "sat_customer_city", "sat_customer", "customer_city_versions", "pit_customer")
    land(vault, "customers", [customer("a", 1, city="A"), customer("a", 3, city="B")], 1)
    vault.dbt("run", *models)
    land(vault, "customers", [customer("a", 2, city="B")], 2)
    vault.dbt("run", *models)
    ask = f"select city, valid_from from vault.customer_city_versions where hub_customer_hk = '{key('a')}' order by 2"
    assert vault.rows(ask) == [("A", START + timedelta(days=1)), ("B", START + timedelta(days=2))]
    pointer = f"select sat_customer_city_applied_at from vault.pit_customer where hub_customer_hk = '{key('a')}'"
    assert vault.rows(pointer) == [(START + timedelta(days=2),)]
    land(vault, "customers", [customer("a", 4, city="A"), customer("a", 2.5, city="A")], 3)
    vault.dbt("run", *models)
    assert [city for city, _ in vault.rows(ask)] == ["A", "B", "A", "B", "A"]


def test_a_relation_ends_by_its_date_or_by_what_was_said_last(vault: Warehouse) -> None:
    """The end that was said last counts, in whichever order it comes; an ended relation may begin again."""
    end = START + timedelta(days=5)
    told = [
        rental("a", "X", 1, said_at=START),
        rental("a", "X", 1, said_at=START + timedelta(days=4), until=end),
        rental("a", "X", 1, said_at=START + timedelta(days=2), until=end + timedelta(days=30)),
        rental("a", "X", 8),
    ]
    for seq, record in enumerate(reversed(told), 1):
        land(vault, "rentals", [record], seq)
    vault.dbt("run", "-s", "eff_rental_term", "rental_terms")
    link, _ = vaults.relation(told[0])
    assert vault.rows(
        f"select valid_from, valid_to from vault.rental_terms where link_rental_hk = '{link}' order by 1"
    ) == [(START + timedelta(days=1), end), (START + timedelta(days=8), None)]


def test_both_engines_hold_the_same_vault(open_warehouse: Open) -> None:
    """Law 7, load dates and all."""
    found = []
    for engine in ("duckdb", "postgres"):
        warehouse = open_warehouse(engine, "vault")
        vaults.prepare(warehouse)
        warehouse.execute("set timezone = 'UTC'")
        snapshots(warehouse, SNAPSHOTS)
        for seq, (stream, records) in enumerate(stories(random.Random(5), 40).items(), 1):
            land(warehouse, stream, records, seq)
        warehouse.dbt("run", "--exclude", "vectors", "canonicals")
        found.append(content(warehouse, but=("load_date",)))
    assert found[0] == found[1]


def test_another_rule_is_refused(vault: Warehouse) -> None:
    """A vault that was hashed by another rule takes nothing in until it is rebuilt."""
    land(vault, "customers", [customer("a", 1)], 1)
    vault.dbt("run", "-s", "hub_customer")
    vault.execute("update vault.hub_customer set hash_rule = 'v0'")
    land(vault, "customers", [customer("b", 1)], 2)
    vault.dbt("run", "-s", "hub_customer", fails=True)
    assert vault.rows("select count(*) from vault.hub_customer") == [(3,)]
    vault.dbt("run", "--full-refresh", "-s", "hub_customer")
    assert vault.rows("select count(*) from vault.hub_customer where hash_rule = 'v1'") == [(4,)]


@pytest.mark.slow
def test_two_runs_at_once_double_nothing(open_warehouse: Open) -> None:
    """Two processes with four threads each take in the same loads; both end well, and the vault is as by one."""
    vault = open_warehouse("postgres", "vault")
    vaults.prepare(vault)
    told = stories(random.Random(8), 150)
    land(vault, "customers", told["customers"][:10], 1)
    models = ["hub_customer", "hub_car", "link_rental", "sat_customer", "sat_customer_city", "eff_rental"]
    vault.dbt("run", "-s", *models)
    land(vault, "customers", told["customers"], 2)
    land(vault, "rentals", told["rentals"], 3)
    command = [sys.executable, "-m", "dbt.cli.main", "--quiet", "--no-write-json", "--log-level-file", "none", "run"]
    command += ["--project-dir", str(vault.home), "--profiles-dir", str(vault.home / ".penstock"), "-s", *models]
    runs = [
        subprocess.Popen([*command, "--target-path", str(vault.home / f"target{n}")], stdout=subprocess.PIPE, text=True)
        for n in range(2)
    ]
    outputs = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    tables = models[:6]
    stepwise = content(vault, tables, but=())
    vault.dbt("run", "--full-refresh", "-s", *models)
    assert content(vault, tables, but=()) == stepwise


VECTORS = {
    "one": key("42"),
    "number": key("42"),
    "two": key("a||b", "c"),
    "moved": key("a", "b||c"),
    "quotes": key('a","b', "c"),
    "quotes moved": key("a", 'b","c'),
    "empty": key(""),
    "missing": vaults.UNKNOWN,
    "required": vaults.REQUIRED,
    "half": key("a", None),
    "half empty": key("a", ""),
    "normalized": key("AB é"),
    "emptied": vaults.UNKNOWN,
    "wide": key("é😀"),
    "state": vaults.diff(name="Ann", city="Oslo", note=None),
    "blanks": vaults.diff(name="ann ", city="Oslo", note=""),
}


def test_the_published_vectors(vault: Warehouse) -> None:
    """Each engine gives the digests that Python gives, and the documentation shows them."""
    vault.execute("create table raw.odd (id integer)")
    vault.dbt("run", "-s", "vectors")
    found = {label: bare(value) for label, value in vault.rows("select label, hash from vault.vectors")}
    assert found == VECTORS
    assert len(set(VECTORS.values())) == len(VECTORS) - 2
    page = (ROOT / "docs" / "vault.md").read_text()
    for label in ("one", "two", "moved", "empty", "missing", "required", "half", "state", "blanks"):
        assert VECTORS[label] in page, label


ODD = {
    "said": ["a", " A ", "", 'q"', "é😀\n", "null"],
    "flag": ["true", "false"],
    "whole": ["0", "-9223372036854775808", "9223372036854775807"],
    "exact": ["0.00", "1.50", "-1.5", "1200", "-0.0001", "12345678901234567.8901"],
    "inexact": [
        "0",
        "-0",
        "1",
        "1.5",
        "1e15",
        "1e16",
        "-1.25e22",
        "1e23",
        "9007199254740993",
        "1.2345678901234567e205",
        "1e-5",
        "-0.0001",
        "5e-324",
        "1.7976931348623157e308",
    ],
    "small": ["0.1", "1e10", "16777216", "3.4028235e38", "1e-45"],
    "day": ["2024-02-29", "0001-01-01", "12345-01-01"],
    "moment": ["2024-02-29 01:02:03", "2024-02-29 01:02:03.5", "1969-12-31 23:59:59.999999", "2024-01-01 00:00:00"],
    "instant": ["2024-02-29 01:02:03+00", "2024-02-29 01:02:03.000001+05:30", "1969-12-31 23:00:00-08"],
    "document": [
        '{"b": [1, 2.50, {}], "a": null, "c": {"x.y": "q\\"", "": []}, "d": true}',
        '{"bb": 1e2, "a": -0.5, "é": "\\u00e9"}',
        "[1, [2, [3]], [], 0.1, 123456789012345678]",
        '"text"',
        "null",
        "3",
        '{"lat": 59.913868800000000123, "is": ": 59.913868800000000123 \\" [1.50", "b": [-1.50, 1e2, 0.0]}',
        '{"lat": 59.913868800000000456, "is": ": 59.913868800000000123 \\" [1.50", "b": [-1.50, 1e2, 0.0]}',
        "-123456789012345678901234567890.10",
    ],
}
KINDS = {
    "said": "text",
    "flag": "boolean",
    "whole": "bigint",
    "exact": "decimal(24, 4)",
    "inexact": "double precision",
    "small": "real",
    "day": "date",
    "moment": "timestamp",
    "instant": "timestamp with time zone",
    "bytes": "bytea",
    "document": "json",
}


def test_a_value_has_one_text_on_both_engines(open_warehouse: Open) -> None:
    """Numbers, times, booleans and JSON: the same text and the same hash diff from DuckDB and PostgreSQL."""
    found = []
    for engine in ("duckdb", "postgres"):
        warehouse = open_warehouse(engine, "vault")
        vaults.prepare(warehouse)
        kinds = {**KINDS, "document": "jsonb"} if engine == "postgres" else KINDS
        warehouse.execute(f"create table raw.odd (id integer, {', '.join(f'{n} {k}' for n, k in kinds.items())})")
        number = 0
        for column, values in {**ODD, "inexact": [*ODD["inexact"], "NaN", "Infinity", "-Infinity"]}.items():
            for value in values:
                number += 1
                literal = value.replace("'", "''")
                warehouse.execute(
                    f"insert into raw.odd (id, {column}) values ({number}, cast('{literal}' as {kinds[column]}))"
                )
        raw = "'\\xDE\\xAD\\x00'" if engine == "duckdb" else "'\\xdead00'"
        warehouse.execute(f"insert into raw.odd (id, bytes) values (0, cast({raw} as bytea))")
        warehouse.dbt("run", "-s", "canonicals")
        found.append(warehouse.text_rows("select * from vault.canonicals"))
    assert found[0] == found[1]
    assert {str(int(float(value))) for value in ODD["inexact"] if abs(float(value)) > 2**53} <= {r[5] for r in found[0]}
    texts = [value for row in found[0] for value in row[1:-1] if value != "None"]
    assert {
        "99999999999999991611392",
        "dead00",
        "0.00001",
        "2024-02-28T19:32:03.000001Z",
        "1.5",
        "NaN",
    } <= {value.lstrip("-") for value in texts}
