"""The documentation says what the code does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from penstock import errors
from penstock.cli.app import app
from penstock.shape.schema import name_columns, normal_name

ROOT = Path(__file__).parents[2]
_CODE = re.compile(r"`([^`]*)`")


def rows_under(page: str, heading: str) -> Iterator[list[str]]:
    """The cells of the tables under a heading of a page, without their header rows."""
    section = page.split(f"\n{heading}\n")[1].split("\n## ")[0]
    body = False
    for line in section.splitlines():
        if not line.startswith("|"):
            body = False
        elif set(line) <= set("|-: "):
            body = True
        elif body:
            yield [cell.strip() for cell in line.strip("|").split("|")]


def codes(cell: str) -> list[str]:
    """The texts in backticks."""
    return _CODE.findall(cell)


def commands() -> Iterator[tuple[str, set[str], str]]:
    """Each command's whole name, its options in every spelling, and its help's last line."""
    waiting: list[tuple[str, Any]] = [("penstock", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop()
        inner = getattr(command, "commands", None)
        if inner is None:
            options = {o for p in command.params for o in (*p.opts, *p.secondary_opts) if o.startswith("-")}
            yield name, options, command.epilog or ""
        else:
            waiting += [(f"{name} {word}", found) for word, found in inner.items()]


def sections(page: str) -> dict[str, str]:
    """Heading → text, for the headings of the second level."""
    parts = re.split(r"^## (.*)$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture(scope="module")
def naming() -> str:
    """The page on names."""
    return (ROOT / "docs" / "naming.md").read_text(encoding="utf-8")


def test_names(naming: str) -> None:
    """Each example of a name is what the code makes of it."""
    rows = [(codes(field)[0], codes(column)[0]) for field, column in rows_under(naming, "## Examples")]
    assert len(rows) > 20
    assert [(field, normal_name(field)) for field, _ in rows] == rows
    assert normal_name("") in naming


def test_names_that_meet(naming: str) -> None:
    """So is each example of names that meet."""
    rows = list(rows_under(naming, "## When two fields meet"))
    assert rows
    for fields, columns in rows:
        named = name_columns(codes(fields), ())
        assert [named[f] for f in codes(fields)] == codes(columns)
    assert name_columns(["name"], ["name"])["name"] in naming


def test_commands_and_options() -> None:
    """Each command has a section with its options, no more and no fewer, and the example of its help."""
    documented = {k: v for k, v in sections((ROOT / "docs" / "commands.md").read_text()).items() if "penstock" in k}
    found = {name: (options, epilog) for name, options, epilog in commands()}
    assert documented.keys() == found.keys()
    for name, (options, epilog) in found.items():
        listed = {
            o
            for row in rows_under(f"\n## x\n{documented[name]}", "## x")
            for c in codes(row[0])
            for o in [c.split()[0]]
        }
        assert listed == options, name
        assert f"    {epilog.removeprefix('Example: ')}\n" in documented[name], name
        assert "Exit codes:" in documented[name], name


def test_exit_codes() -> None:
    """Every error's exit code is in the table."""
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    listed = {int(code) for row in rows_under(page, "## Exit codes") for code in row[0].split(",")}
    raised = {e.exit_code for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.PenstockError)}
    assert listed == raised | {0, 130, 143}


def test_links() -> None:
    """Every relative link of a page leads to a file, and to a heading in it."""
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#:\s]*)(#[^)\s]*)?\)", page.read_text(encoding="utf-8")):
            path = page.parent / target[0] if target[0] else page
            assert path.exists(), f"{page.name}: {target[0]}"
            if target[1]:
                headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
                anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
                assert target[1][1:] in anchors, f"{page.name}: {target[0]}{target[1]}"
