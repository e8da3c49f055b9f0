"""What the package's macros promise, on each engine."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.dbt.warehouse import Warehouse

Open = Callable[[str, str], Warehouse]

CHANGES = [
    ("124", "Raul", "Oaxaca", "INSERT", 1),
    ("123", "Isabel", "Monterrey", "INSERT", 1),
    ("125", "Mercedes", "Tijuana", "INSERT", 2),
    ("126", "Lily", "Cancun", "INSERT", 2),
    ("123", None, None, "DELETE", 6),
    ("125", "Mercedes", "Guadalajara", "UPDATE", 6),
    ("125", "Mercedes", "Mexicali", "UPDATE", 5),
    ("123", "Isabel", "Chihuahua", "UPDATE", 5),
]
TRACKED = {
    ("123", "Monterrey", 1, 5),
    ("123", "Chihuahua", 5, 6),
    ("124", "Oaxaca", 1, None),
    ("125", "Tijuana", 2, 5),
    ("125", "Mexicali", 5, 6),
    ("125", "Guadalajara", 6, None),
    ("126", "Cancun", 2, None),
}
UNTRACKED = {
    ("123", "Chihuahua", 1, 6),
    ("124", "Oaxaca", 1, None),
    ("125", "Guadalajara", 2, None),
    ("126", "Cancun", 2, None),
}
OPENING = {
    ("123", "Monterrey", 1, 6),
    ("124", "Oaxaca", 1, None),
    ("125", "Tijuana", 2, None),
    ("126", "Cancun", 2, None),
}
INNER_FILES = ("additive", "feeds", "inputs", "materialization", "modes", "safety", "steps", "versions")
"""What the materialization is made of: a project calls none of it."""
INNER = {
    *("replacing", "inserting", "marking", "few_rows_expected"),
    *("hash_part", "model_name", "upstream_models", "of_stream", "has_rows"),
    *("keeps_mark", "parents_of", "streams_by_tables", "streams_through", "newest_seq", "reached_by_all"),
    "ledger_rows",
    *(
        "quoted",
        "normalization",
        "key_text",
        "kept_text",
        "canonical_number",
        "canonical_float",
        "plain_digits",
        "canonical_time",
    ),
    *("blanks", "rescued", "instant_of", "marked_numbers", "stripped", "instant_column"),
    *("ledger_rows", "uuid_of"),
    *("canonical_json", "link_parts", "hub_hashes", "any_known", "rule_text"),
    *("vault_table", "vault_arrived", "vault_config", "numbered_loads", "same_rule", "expect_rule"),
}
"""Macros that only the package calls."""


@pytest.mark.parametrize(
    ("probe", "trials"),
    [
        ("duckdb", 25),
        pytest.param("postgres", 25, marks=pytest.mark.slow),
        pytest.param("duckdb", 200, marks=pytest.mark.slow),
        pytest.param("postgres", 200, marks=pytest.mark.slow),
    ],
    indirect=["probe"],
)
def test_history_gives_the_published_oracle_in_every_order(probe: Warehouse, trials: int) -> None:
    """Many random orders and splits at once, each a set of users of its own, taken in step by step."""
    chance = random.Random(20)
    steps = 5
    loads: list[list[dict[str, object]]] = [[] for _ in range(steps)]
    for trial in range(trials):
        for user, name, city, op, seq in CHANGES:
            loads[chance.randrange(steps)].append(
                {
                    "id": f"{trial}/{user}",
                    "username": name,
                    "user_email": city,
                    "event_type": op,
                    "plan_name": str(seq),
                }
            )
    for load in loads:
        chance.shuffle(load)
        probe.land(load)
        probe.dbt("run", "-s", "changes", "city_tracked", "city_untracked", "city_opening")
    for model, expected in (("city_tracked", TRACKED), ("city_untracked", UNTRACKED), ("city_opening", OPENING)):
        rows = probe.rows(f"select user_id, city, valid_from, valid_to, is_current from probe.{model}")
        assert len(rows) == trials * len(expected)
        assert all((until is None) is current for *_, until, current in rows)
        found: dict[str, set[tuple[object, ...]]] = {}
        for name, *rest, _ in rows:
            trial_name, user = name.split("/")
            found.setdefault(trial_name, set()).add((user, *rest))
        assert all(versions == expected for versions in found.values())


def test_further_sequence_columns_decide_within_an_instant(probe: Warehouse) -> None:
    """The first gives the times; nulls come first; a null condition deletes nothing."""
    probe.dbt("run", "-s", "sequences")
    rows = probe.rows("select tenant, number, state, valid_from, valid_to from probe.sequences order by 1, 2, 4")
    assert rows == [
        ("a", 1, "second", 10, 20),
        ("a", 1, "third", 20, None),
        ("b", 1, None, 5, 6),
        ("b", 1, "set", 6, None),
    ]


def test_surrogate_keys_do_not_collide_and_are_the_same_on_every_engine(open_warehouse: Open) -> None:
    """Parts cannot run into each other, null is not empty, and both engines agree."""
    found = []
    for engine in ("duckdb", "postgres"):
        probe = open_warehouse(engine, "probe")
        probe.dbt("run", "-s", "expressions")
        found.append(probe.text_rows("select label, key from probe.expressions"))
    assert found[0] == found[1]
    assert len({key for _, key in found[0]}) == len(found[0])


def test_every_macro_is_documented() -> None:
    """A macro that a project may call has an entry, and every entry has its macro and every argument."""
    import re

    import yaml

    from tests.dbt.warehouse import PACKAGE

    defined: dict[str, list[str]] = {}
    for path in (PACKAGE / "macros").glob("*.sql"):
        if path.stem in INNER_FILES:
            continue
        for name, arguments in re.findall(r"{% macro (\w+)\(([^)]*)\)", path.read_text()):
            if "__" not in name:
                names = [part.split("=")[0].strip() for part in re.sub(r"\[\]|{}", "", arguments).split(",")]
                defined[name] = [each for each in names if each]
    entries = yaml.safe_load((PACKAGE / "macros" / "_macros.yml").read_text())["macros"]
    documented = {each["name"]: [one["name"] for one in each.get("arguments", [])] for each in entries}
    for inner in INNER:
        defined.pop(inner)
    assert documented == defined
    assert all(each["description"].strip() for each in entries)
