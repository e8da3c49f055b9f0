"""SQL from ``.sql`` files beside the code that runs it, and the quoting of what goes into it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

_SLOT = re.compile(r"\{(\w+)\}")


def identifier(name: str) -> str:
    """``name`` quoted as an identifier of DuckDB and PostgreSQL, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """``text`` quoted as a string literal of DuckDB and PostgreSQL, whatever it holds.

    Relies on ``standard_conforming_strings``, on by default in both.
    """
    return "'" + text.replace("'", "''") + "'"


def statement(package: str, name: str, **parts: str) -> str:
    """The text of ``name`` in ``package`` with each ``{slot}`` replaced by its part. Parts are SQL already."""
    return _SLOT.sub(lambda m: parts[m[1]] if m[1] in parts else m[0], _text(package, name))


def filled(sql: str, values: Sequence[str]) -> str:
    """A statement with its parameters, ``$1`` and on, as literals: for whoever takes a text alone."""
    return re.sub(r"\$(\d+)", lambda m: literal(values[int(m[1]) - 1]), sql)


def statements(package: str, name: str, **parts: str) -> list[str]:
    """Like :func:`statement` for a file of several, split at lines that end in ``;``."""
    script = statement(package, name, **parts)
    return [s.strip() for s in re.split(r";\s*(?:\n|$)", script) if s.strip()]


@cache
def _text(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
