"""The documentation says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from penstock import errors
from penstock.scaffold import create_project
from penstock.schema import name_columns, normal_name
from tests.support.pages import codes, rows_under
from tools.make_reference import PAGES, made
from tools.reference.commands import MARK, commands, commands_page
from tools.reference.ledger import ledger_tables
from tools.reference.python import EXAMPLES

ROOT = Path(__file__).parents[2]
_UNITS = {"": 1.0, "B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "s": 1.0, "µs": 1e-6}


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


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_current(name: str) -> None:
    """What is made from the code is what the code says now."""
    now, wanted = made(name)
    assert now == wanted, f"docs/{name} is stale: make reference"


def test_commands_say_how_they_end() -> None:
    """Each command's section has an example and its exit codes, written by hand; what is no command has none."""
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    documented = {k: v for k, v in sections(page).items() if k.startswith("penstock ")}
    found = {name for name, _ in commands()} - {"penstock"}
    assert documented.keys() == found
    for name, text in documented.items():
        above, mark, below = text.partition(MARK)
        assert mark, name
        assert f"    {name}" in above.split("Example:")[1], name
        assert "Exit codes:" in below, name


def test_what_is_written_by_hand_is_kept() -> None:
    """Making the page of commands anew keeps what is below a mark, and drops commands that are gone."""
    page = f"# Head\n\n## penstock load\n\nstale\n\n{MARK}\n\nKept.\n\n## penstock gone\n\n{MARK}\n\nLost.\n"
    wanted = commands_page(page)
    assert wanted.startswith("# Head\n\n## penstock\n")
    assert f"{MARK}\n\nKept.\n" in wanted
    assert "stale" not in wanted
    assert "gone" not in wanted


def test_every_ledger_column_has_a_meaning() -> None:
    """And so has every table: a comment where it is made."""
    for name, table in ledger_tables().items():
        assert table.text, name
        assert table.columns, name
        assert [c for c, _, _, text in table.columns if not text] == [], name


PRINTED = {
    "run": r"success 3\nevents event_files [\d.]+\n",
    "destination": r"3 \[\(3,\)\]\n",
    "plan": r"events event_files 2025-03-03T00:00:00/2025-03-04T00:00:00\nno models\n",
    "land": r"3\n0\n",
    "query": r"page_viewed 2\nsigned_up 1\n",
    "session": r"events 3\nevents 0\n",
}


@pytest.mark.parametrize("example", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_the_python_examples_run(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each example of the page on Python does what it shows, beside a new project."""
    create_project(tmp_path / "shop")
    monkeypatch.chdir(tmp_path)
    code = (EXAMPLES / f"{example}.py").read_text(encoding="utf-8")
    assert code in (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    exec(compile(code, f"{example}.py", "exec"), {"__name__": example})
    assert re.fullmatch(PRINTED[example], capsys.readouterr().out)


def test_exit_codes() -> None:
    """Every error's exit code is in the table."""
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    listed = {int(code) for row in rows_under(page, "## Exit codes") for code in row[0].split(",")}
    raised = {e.exit_code for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.PenstockError)}
    assert listed == raised | {0, 130, 143}


def test_capacity_is_arithmetic() -> None:
    """Each figure of the table of volumes is what its formula gives."""
    page = (ROOT / "docs" / "capacity.md").read_text(encoding="utf-8")
    rows = list(rows_under(page, "## Volumes"))
    assert len(rows) > 9
    for what, formula, *cells in rows:
        terms = formula.replace("N", "1").replace(",", "").replace("×", "*").replace("÷", "/")
        factor = eval(re.sub(r"(\d+) (µs|B)", lambda m: f"({m[1]} * {_UNITS[m[2]]})", terms), {"__builtins__": {}})
        for n, text in zip((1e4, 1e6, 1e8, 1e9), cells, strict=True):
            value, _, unit = text.replace(",", "").partition(" ")
            assert float(value) * _UNITS[unit] == pytest.approx(n * factor, rel=0.01), f"{what}: {text}"


def test_links() -> None:
    """Every relative link of a page leads to a file, and to a heading in it."""
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:\s]*)(#[^)\s]*)?\)", page.read_text(encoding="utf-8")):
            path = page.parent / target[0] if target[0] else page
            assert path.exists(), f"{page.name}: {target[0]}"
            if target[1]:
                headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
                anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
                assert target[1][1:] in anchors, f"{page.name}: {target[0]}{target[1]}"
