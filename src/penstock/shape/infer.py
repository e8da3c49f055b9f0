"""From the values seen in a field to the type of its column."""

from __future__ import annotations

from collections.abc import Mapping

MAX_PRECISION = 38

Kinds = Mapping[str, int]
"""One row of ``kinds.sql``: how many of a field's values are of each kind."""


def infer_type(kinds: Kinds, *, untyped: bool) -> str:
    """The narrowest type that holds every value of a field exactly; ``text`` when scalars are mixed.

    Texts become dates, timestamps and UUIDs when all of them spell one; they become numbers and truth values
    only when ``untyped`` (CSV, where everything is text). Numbers that fit no decimal of 38 digits are left out of
    account: they will be rescued, unless there is nothing else.
    """
    present = kinds["present"]
    if kinds["nested"]:
        return "json"
    if kinds["texts"] == present:
        return _of_texts(kinds, untyped=untyped)
    if kinds["booleans"] == present:
        return "boolean"
    if kinds["integers"] + kinds["doubles"] + kinds["exacts"] == present:
        return _of_numbers(kinds)
    return "text"


def _of_numbers(kinds: Kinds) -> str:
    tame = kinds["exacts"] - kinds["wild"]
    if not tame and kinds["integers"] + kinds["doubles"] == 0:
        return "text"
    if not tame and not kinds["doubles"] and not kinds["beyond_bigint"]:
        return "bigint"
    if not tame and not kinds["beyond_double"]:
        return "double"
    scale = kinds["fraction_digits"] or 0
    if (kinds["whole_digits"] or 0) + scale <= MAX_PRECISION:
        return f"decimal({MAX_PRECISION},{scale})"
    return "text"


def _of_texts(kinds: Kinds, *, untyped: bool) -> str:
    present = kinds["present"]
    if untyped:
        if kinds["spelt_integers"] == present:
            return "bigint"
        if kinds["spelt_doubles"] == present:
            return "double"
        if kinds["spelt_decimals"] == present:
            scale = kinds["spelt_fraction"] or 0
            if (kinds["spelt_whole"] or 0) + scale <= MAX_PRECISION:
                return f"decimal({MAX_PRECISION},{scale})"
        if kinds["truths"] == present:
            return "boolean"
    for kind, type_ in (
        ("dates", "date"),
        ("timestamps", "timestamp"),
        ("timestamptzs", "timestamptz"),
        ("uuids", "uuid"),
    ):
        if kinds[kind] == present:
            return type_
    return "text"
