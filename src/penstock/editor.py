"""What an editor and a reader get of all settings: the JSON Schema of ``penstock.yml``, and the page that lists them.

Both are made from the settings' types (``make reference``) and come as files: in a wheel beside this module, in a
source tree in ``docs``.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

COPY = ".penstock/schema.json"
"""Where an editor finds the schema in a project, which the first line of a new ``penstock.yml`` names."""

_PACKAGED = Path(__file__).parent
_DOCS = Path(__file__).parents[2] / "docs"


def schema_text() -> str:
    """The JSON Schema (draft 2020-12) of ``penstock.yml``, as this version has it."""
    return _file("penstock.schema.json").read_text(encoding="utf-8")


def settings_page() -> str:
    """Every setting with its type, default and meaning, in Markdown."""
    return _file("configuration.md").read_text(encoding="utf-8")


def keep_schema(directory: Path) -> None:
    """Have this version's schema be where the first line of the project's file says that it is; it is not the
    project's, which git ignores it as, so a clone and an upgrade get it from the next command."""
    copy = directory / COPY
    with suppress(OSError), (directory / "penstock.yml").open(encoding="utf-8", errors="replace") as file:
        if f"$schema={COPY}" in file.readline():
            text = schema_text()
            if not copy.exists() or copy.read_text(encoding="utf-8") != text:
                copy.parent.mkdir(exist_ok=True)
                part = copy.with_suffix(".part")
                part.write_text(text, encoding="utf-8")
                part.replace(copy)


def _file(name: str) -> Path:
    packaged = _PACKAGED / name
    return packaged if packaged.exists() else _DOCS / name
