"""Column names from field names: what ``docs/naming.md`` promises."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.schema import RECORD_COLUMNS, name_columns, normal_name, variant_name

names = st.text(max_size=80)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("id", "id"),
        ("_private", "_private"),
        ("userName", "user_name"),
        ("HTTPServer", "httpserver"),
        ("Plan Name", "plan_name"),
        ("  spaced  ", "spaced"),
        ("räum", "raum"),
        ("1st", "_1st"),
        ("a.b-c/d", "a_b_c_d"),
        ("select", "select"),
        ("ctid", "field_ctid"),
        ("_pen_id", "field_pen_id"),
    ],
)
def test_normal_names(field: str, name: str) -> None:
    """Names are lowered, split at humps, and kept to letters, digits and underscores."""
    assert normal_name(field) == name


@given(field=names)
def test_normal_name_is_an_identifier(field: str) -> None:
    """Any field gives a name of at most 63 bytes that needs no quotes and is none of ours, and again the same."""
    name = normal_name(field)
    assert re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name)
    assert name not in RECORD_COLUMNS and not name.startswith("_pen_")
    assert normal_name(name) == name


@given(fields=st.lists(names, unique=True, max_size=30), taken=st.sets(st.sampled_from(["a", "b", "id", "name"])))
def test_columns_are_told_apart(fields: list[str], taken: set[str]) -> None:
    """No two fields share a column, none takes one that is taken, in whatever order they come."""
    found = name_columns(fields, taken)
    assert set(found) == set(fields)
    assert len(set(found.values()) | taken) == len(fields) + len(taken)
    assert name_columns(fields[::-1], taken) == found


def test_a_normal_name_is_kept() -> None:
    """Of fields that meet in one name, the one that is spelt so keeps it."""
    found = name_columns(["Name", "NAME", "name"], ())
    assert found["name"] == "name"
    assert all(re.fullmatch(r"name_[0-9a-f]{8}", found[f]) for f in ("Name", "NAME"))


def test_variant_names() -> None:
    """A variant is named for its type and never takes a column that is there."""
    assert variant_name("price", "decimal(38,2)", ["price"]) == "price__decimal"
    assert variant_name("price", "text", ["price", "price__text"]) not in ("price", "price__text")
    assert len(variant_name("x" * 63, "timestamptz", [])) <= 63
