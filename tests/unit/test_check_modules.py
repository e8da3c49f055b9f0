"""The checks of ``make check`` that are our own: each finds what it is for, and leaves the rest alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import check_modules


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty tree in place of the project."""
    source = tmp_path / "src" / "penstock"
    source.mkdir(parents=True)
    (tmp_path / "tests").mkdir()
    (tmp_path / "benchmarks").mkdir()
    monkeypatch.setattr(check_modules, "ROOT", tmp_path)
    monkeypatch.setattr(check_modules, "SOURCE", source)
    return tmp_path


def test_sizes(tree: Path) -> None:
    """500 lines are a module, 501 are two; tests may have 800."""
    (tree / "src" / "penstock" / "full.py").write_text("pass\n" * 500)
    (tree / "src" / "penstock" / "over.py").write_text("pass\n" * 501)
    (tree / "tests" / "test_long.py").write_text("pass\n" * 800)
    (tree / "tests" / "test_longer.py").write_text("pass\n" * 801)
    found = check_modules.sizes()
    assert [line.split(":")[0] for line in found] == ["src/penstock/over.py", "tests/test_longer.py"]


def test_directions(tree: Path) -> None:
    """A source may not know the command line, in whichever way it is imported, for types too."""
    (tree / "src" / "penstock" / "sources.py").write_text(
        "import penstock.cli.app\n"
        "from penstock import runs\n"
        "from penstock.errors import PenstockError\n"
        "def late():\n"
        "    from penstock.land.session import Session\n"
        "if TYPE_CHECKING:\n"
        "    from penstock.cli import main\n"
    )
    found = check_modules.directions()
    assert [line.split(":")[1] for line in found] == ["1", "2", "5", "7"]
    assert all("sources imports" in line and "above" in line for line in found)


def test_relative_imports_have_a_direction_too(tree: Path) -> None:
    """``from ..cli import`` goes up as much as ``from penstock.cli import``."""
    (tree / "src" / "penstock" / "sources").mkdir()
    (tree / "src" / "penstock" / "sources" / "files.py").write_text(
        "from ..cli import app\nfrom .. import land\nfrom .splitters import lines\nfrom ..errors import SourceError\n"
    )
    assert [line.split(":")[1] for line in check_modules.directions()] == ["1", "2"]


def test_parts_that_stay_apart(tree: Path) -> None:
    """The lake's writer and the sources know nothing of each other, in either direction."""
    for part, other in (("lake", "sources"), ("sources", "lake")):
        (tree / "src" / "penstock" / part).mkdir()
        (tree / "src" / "penstock" / part / "one.py").write_text(f"from penstock.{other} import two\n")
    findings = check_modules.directions()
    assert len(findings) == 2 and all("stay apart" in line for line in findings)


def test_nobody_asks_for_a_kind(tree: Path) -> None:
    """By comparison, ``match`` or ``isinstance``; but a kind's own folder may, and the settings' too."""
    asking = (
        'if s.type == "files": pass\n'
        'if s.type not in ("lake", "http"): pass\n'
        "match s.type:\n"
        '    case "rabbitmq": pass\n'
        "if isinstance(s, Files | Http): pass\n"
        'if s.type == "basic" or parts.scheme == "http": pass\n'
    )
    for folder in ("runs", "project", "sources/files"):
        (tree / "src" / "penstock" / folder).mkdir(parents=True)
        (tree / "src" / "penstock" / folder / "plan.py").write_text(asking)
    findings = check_modules.kinds_asked()
    assert [line.split(":")[1] for line in findings if "runs/plan.py" in line] == ["1", "2", "2", "4", "5", "5"]
    assert not [line for line in findings if "project/" in line or ("the kind files" in line and "sources/" in line)]


def test_circles(tree: Path) -> None:
    """Two modules that know each other are one; who only uses them is not named."""
    for name, text in {
        "one": "from penstock.sources import two\n",
        "two": "if TYPE_CHECKING:\n    from penstock.sources.one import One\n",
        "user": "from penstock.sources.one import One\n",
    }.items():
        (tree / "src" / "penstock" / "sources").mkdir(exist_ok=True)
        (tree / "src" / "penstock" / "sources" / f"{name}.py").write_text(text)
    assert check_modules.circles() == [
        "modules import each other in a circle: penstock.sources.one, penstock.sources.two"
    ]


def test_borrowed(tree: Path) -> None:
    """Tests take from what supports them, and not from each other."""
    (tree / "tests" / "test_one.py").write_text(
        "from tests.support.records import lines\nfrom tests.unit.test_two import two\nimport tests.test_three\n"
    )
    found = check_modules.borrowed()
    assert [line.split(": ")[0] for line in found] == ["tests/test_one.py:2", "tests/test_one.py:3"]


def test_a_new_part_needs_a_layer(tree: Path) -> None:
    """A module nobody placed is a finding, not a hole."""
    (tree / "src" / "penstock" / "helpers.py").write_text("")
    assert check_modules.directions() == ["src/penstock/helpers.py: helpers has no layer in tools/check_modules.py"]


def test_residue(tree: Path) -> None:
    """Addresses of the machine it was written on are found in tracked files, and only there."""
    somewhere = "/ho" + "me/somebody/project"
    (tree / "tracked.txt").write_text(f"fine\nsee {somewhere}\n")
    (tree / "untracked.txt").write_text(somewhere)
    for command in (["init", "--quiet"], ["add", "tracked.txt"]):
        subprocess.run(["git", *command], cwd=tree, check=True)
    found = check_modules.residue()
    assert len(found) == 1 and found[0].startswith("tracked.txt:2:")


def test_start_up_is_light() -> None:
    """Neither dbt nor a database is loaded to print help."""
    assert check_modules.start_up() == []
