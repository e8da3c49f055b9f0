"""Which models have statements that are the same in each step, so that they can be prepared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_KNOWN_PACKAGES = re.compile(r"penstock|dbt|dbt_(duckdb|postgres|spark)")
"""Packages whose macros are known: what they ask the warehouse for changes with the models and the raw tables alone."""
_KNOWN_HOOK = re.compile(r"\s*\{\{-?\s*penstock[.]mark\(\)\s*-?\}\}\s*")
_JINJA = re.compile(r"\{[{%].*?[}%]\}", re.DOTALL)
_WORD = re.compile(r"\w+")
_CHANGING = re.compile(
    r"\b(run_started_at|invocation_id|invocation_args_dict|thread_id|run_query|statement|load_result|load_agate_table"
    r"|run_results|flags|dbt_metadata_envs|datetime|pytz|random|graph|builtins|adapter[.](?!quote\b|dispatch\b)\w+)\b"
)
"""What a text can ask while it is compiled that is another thing each time, or may be."""


def macros_of_people(macros: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The macros of a manifest that are not of dbt or of Penstock: name to text. Of one name in several packages, all
    texts."""
    texts: dict[str, str] = {}
    for macro in macros.values():
        if not _KNOWN_PACKAGES.fullmatch(str(macro.get("package_name") or "")):
            name = str(macro["name"])
            texts[name] = texts.get(name, "") + str(macro.get("macro_sql") or "")
    return texts


def is_steady(node: Mapping[str, Any], macros: Mapping[str, str]) -> bool:
    """Whether a model of a manifest compiles to the same each time, as long as files, environment and raw tables are
    the same; and whether nothing but Penstock's own hook belongs to it."""
    config = node.get("config") or {}
    hooks = [hook for when in ("pre-hook", "post-hook") for hook in _listed(config.get(when))]
    if not all(_KNOWN_HOOK.fullmatch(str(h.get("sql") if isinstance(h, Mapping) else h)) for h in hooks):
        return False
    if config.get("sql_header") or str(node.get("language") or "sql") != "sql":
        return False
    return not any(map(_CHANGING.search, _texts(str(node.get("raw_code") or ""), macros)))


def _texts(code: str, macros: Mapping[str, str]) -> Iterable[str]:
    """The Jinja of a text, and that of the macros which it may call."""
    left, known = [code], set[str]()
    while left:
        jinja = " ".join(_JINJA.findall(left.pop()))
        yield jinja
        called = {word for word in _WORD.findall(jinja) if word in macros} - known
        known |= called
        left += [macros[name] for name in called]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
