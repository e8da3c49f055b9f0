"""Makes the reference pages in ``docs/``, and the map in ``CONTRIBUTING.md``, anew from the code; and tables of figures
from the results of the benchmarks.

Usage: python -m tools.make_reference
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.reference.commands import commands_page
from tools.reference.configuration import configuration_page, project_schema
from tools.reference.errors import errors_page
from tools.reference.figures import with_figures
from tools.reference.house import house_map
from tools.reference.ledger import ledger_page
from tools.reference.macros import macros_page
from tools.reference.metrics import metrics_page
from tools.reference.python import python_page

DOCS = Path(__file__).resolve().parent.parent / "docs"

PAGES: Mapping[str, Callable[[str], str]] = {
    "capacity.md": with_figures,
    "commands.md": commands_page,
    "compared.md": with_figures,
    "configuration.md": lambda _: configuration_page(),
    "errors.md": errors_page,
    "ledger.md": ledger_page,
    "macros.md": macros_page,
    "metrics.md": metrics_page,
    "python.md": python_page,
    "spark.md": with_figures,
    "../CONTRIBUTING.md": house_map,
    "../README.md": with_figures,
    "penstock.schema.json": lambda _: json.dumps(project_schema(), indent=2, ensure_ascii=False) + "\n",
}
"""Page → what makes it, given what it is now."""


def made(name: str) -> tuple[str, str]:
    """A page as it is, empty when it is missing, and as it should be."""
    path = DOCS / name
    now = path.read_text(encoding="utf-8") if path.exists() else ""
    return now, PAGES[name](now)


def main() -> None:
    """Write what differs."""
    for name in PAGES:
        now, wanted = made(name)
        if now != wanted:
            (DOCS / name).write_text(wanted, encoding="utf-8")
            print(f"docs/{name}")


if __name__ == "__main__":
    main()
