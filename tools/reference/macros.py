"""``docs/macros.md``: the dbt package's macros, from what stands beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import yaml

from tools.reference.markdown import MADE, cell, code, table

_GROUPS: Mapping[str, tuple[str, ...]] = {
    "What is new": ("loads", "watermarks"),
    "Raw values": ("reading",),
    "Versions": ("history",),
    "Writing what is new": ("replacing", "inserting"),
    "Star schema": ("dimensions", "keys"),
    "Data Vault": ("vault", "vault_hash", "vault_reading", "vault_canonical"),
    "Schemas": ("schemas",),
}
"""Heading → the files whose macros stand below it."""

_MACRO = re.compile(r"{%-?\s*macro (\w+)\((.*?)\)\s*-?%}", re.DOTALL)
_TEST = re.compile(r"{%-?\s*test (\w+)\((.*?)\)\s*-?%}\s*(?:{#-?\s*(.*?)\s*-?#})?", re.DOTALL)

_HEAD = f"""\
# Macros

{MADE.format(source="src/penstock/dbt/macros")}

The dbt package `penstock` comes with Penstock, and models call it so: `{{{{ penstock.history(...) }}}}`. All of it
runs on DuckDB and PostgreSQL, and all but what incremental models of your own need on [Spark](spark.md). How the pieces
go together: [History](history.md), [Data Vault](vault.md), and the [example](../examples/user_events/README.md).
"""

_INNER = """\
Models have no need of these. They are listed for whoever reads the package, or writes a macro of the same kind.
"""


def macros_page(_: str) -> str:
    """The page."""
    described = {m["name"]: m for m in yaml.safe_load(_text("_macros.yml"))["macros"]}
    # as dbt's own documentation leaves them out
    inner = {name for name, m in described.items() if not m.get("docs", {}).get("show", True)}
    lines = [_HEAD.rstrip()]
    shown: set[str] = set()
    called: list[str] = []
    for title, names in _GROUPS.items():
        signatures = {name: text for file in names for name, text in _MACRO.findall(_text(f"{file}.sql"))}
        wanted = [name for name in signatures if name in described]
        shown.update(wanted)
        called += [line for n in wanted if n in inner for line in ("", *_macro(described[n], signatures[n]))]
        if not set(wanted) - inner:
            continue
        lines += ["", f"## {title}"]
        for name in (n for n in wanted if n not in inner):
            lines += ["", *_macro(described[name], signatures[name])]
    if left := described.keys() - shown:
        raise ValueError(f"macros of no group: {', '.join(sorted(left))}")
    lines += ["", "## Tests", "", "For `data_tests:` of a model, as `penstock.NAME`.", ""]
    lines += table(("test", "holds when"), _tests())
    lines += ["", "## Called by those above", "", _INNER.rstrip(), *called]
    return "\n".join([*lines, ""])


def _macro(found: Mapping[str, Any], signature: str) -> Iterator[str]:
    yield f"### {found['name']}\n"
    yield f"    penstock.{found['name']}({' '.join(signature.split())})\n"
    yield " ".join(found["description"].split())
    if found.get("arguments"):
        yield ""
        rows = [(code(a["name"]), cell(a["type"]), a["description"]) for a in found["arguments"]]
        yield from table(("argument", "type", "meaning"), rows)


def _tests() -> Iterator[tuple[str, str]]:
    for name, signature, text in _TEST.findall(_text("generic_tests.sql")):
        arguments = ", ".join(a.strip() for a in signature.split(",")[1:])
        yield code(f"{name}({arguments})"), text


def _text(name: str) -> str:
    return files("penstock.dbt").joinpath("macros").joinpath(name).read_text(encoding="utf-8")
