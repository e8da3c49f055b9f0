"""The results of the benchmarks are of the code as it is, and say so in a way that can be looked into."""

from __future__ import annotations

import re
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks import provenance
from benchmarks.process import ROOT
from benchmarks.provenance import HOT_PATHS, TARGETS, CodeChanged, HistoryMissing, Provenance
from tools.way import ways

FOLDER = ROOT / "benchmarks"
PATHS = ("land", "models")


def _written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=someone", "-c", "user.email=someone@example.com")
    return subprocess.run(
        ["git", "-C", str(root), *who, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a hot path of two folders, committed."""
    monkeypatch.setattr(provenance, "HOT_PATHS", {"RESULTS.md": PATHS})
    root = tmp_path / "tree"
    _written(
        root / "land" / "loop.py", '"""The loop."""\n\nX = 1  # one\n\n\ndef f():\n    """Does it."""\n    return "#"\n'
    )
    _written(root / "models" / "daily.sql", "select 1\n")
    _written(root / "docs" / "page.md", "a page\n")
    _git(tmp_path, "init", "--quiet", str(root))
    _git(root, "add", ".")
    _git(root, "commit", "--quiet", "--message", "Begin")
    return root


@pytest.mark.parametrize("page", HOT_PATHS)
def test_results_are_of_the_code_as_it_is(page: str) -> None:
    """A change of what a benchmark measures makes its results stale: they are measured again with it."""
    named = provenance.read((FOLDER / page).read_text(encoding="utf-8"))
    assert named is not None, f"benchmarks/{page} does not say what it measured: {TARGETS[page]}"
    assert named.digest == provenance.digest(ROOT, HOT_PATHS[page]), (
        f"benchmarks/{page} is of older code, that of {named.date}: {TARGETS[page]}, then make reference"
    )


@pytest.mark.parametrize("page", HOT_PATHS)
def test_results_name_the_commit_they_were_measured_at(page: str) -> None:
    """The commit is in the history, and its hot path is the one that was measured. Where the history does not have the
    commit, the digest of the code as it is, above, is all that can be judged."""
    named = provenance.read((FOLDER / page).read_text(encoding="utf-8"))
    assert named is not None, f"benchmarks/{page} does not say what it measured: {TARGETS[page]}"
    assert named.commit is not None
    with suppress(HistoryMissing):
        assert provenance.contradiction(ROOT, page, named) == ""


def test_every_page_of_results_has_a_hot_path() -> None:
    """No page is left out, and each path leads to code."""
    assert HOT_PATHS.keys() == TARGETS.keys() == {path.name for path in FOLDER.glob("RESULTS*.md")}
    missing = [path for paths in HOT_PATHS.values() for path in paths if not (ROOT / path).exists()]
    assert missing == []


def test_the_way_of_a_batch_is_in_the_hot_path() -> None:
    """A package that a batch passes through on its way to DuckDB is measured; single modules are words and rules."""
    modules = {module for way in ways() for module in way.modules if module.count(".") > 1}
    files = {f"src/{module.replace('.', '/')}" for module in modules}
    assert files
    hot = HOT_PATHS["RESULTS.md"]
    assert [file for file in sorted(files) if not file.startswith(hot)] == []


def test_a_page_is_read_as_it_is_written() -> None:
    """With a commit, with changes on top, and without."""
    for commit, changed in (("a1" * 20, False), ("a1" * 20, True), (None, False)):
        named = Provenance(date="2026-03-04", commit=commit, changed=changed, digest="0f" * 32)
        assert provenance.read(f"# Speed\n\n{named.sentence('RESULTS.md')} 6 of 8 bars are met.\n") == named
    assert provenance.read("# Speed\n\nMeasured some day.\n") is None


def test_a_change_of_code_makes_results_stale(tree: Path) -> None:
    """Code, SQL, a new file and a renamed one do; other folders do not."""
    measured = provenance.digest(tree, PATHS)
    assert measured == provenance.digest_at(tree, "HEAD", PATHS)
    _written(tree / "docs" / "page.md", "another page\n")
    _written(tree / "land" / "__pycache__" / "loop.pyc", "no code")
    assert provenance.digest(tree, PATHS) == measured
    for path, text in (("land/loop.py", "X = 2\n"), ("models/daily.sql", "select 2\n"), ("land/new.py", "")):
        before = provenance.digest(tree, PATHS)
        _written(tree / path, text)
        assert provenance.digest(tree, PATHS) != before, path
    before = provenance.digest(tree, PATHS)
    (tree / "land" / "new.py").rename(tree / "land" / "newer.py")
    assert provenance.digest(tree, PATHS) != before


def test_words_alone_do_not(tree: Path) -> None:
    """Comments, docstrings and blank lines take no time; texts that look like them are code."""
    measured = provenance.digest(tree, PATHS)
    loop = tree / "land" / "loop.py"
    _written(
        loop, '"""Round and\nround."""\nX = 1\n# two\n\ndef f():\n\n    """It\n    does."""  # or not\n    return "#"\n'
    )
    assert provenance.digest(tree, PATHS) == measured
    _written(loop, loop.read_text(encoding="utf-8").replace('return "#"', 'return "# "'))
    assert provenance.digest(tree, PATHS) != measured


def test_results_may_come_with_the_change_they_are_of(tree: Path) -> None:
    """Measured before the commit, they name the one below; they are as true after it."""
    _written(tree / "land" / "loop.py", "X = 3\n")
    measured = provenance.now("RESULTS.md", tree)
    assert measured.changed
    assert measured.commit == _git(tree, "rev-parse", "HEAD")
    _git(tree, "commit", "--quiet", "--all", "--message", "Change")
    assert provenance.digest(tree, PATHS) == measured.digest
    assert provenance.contradiction(tree, "RESULTS.md", measured) == ""
    again = provenance.now("RESULTS.md", tree)
    assert (again.changed, again.digest) == (False, measured.digest)


def test_code_that_changes_while_it_is_measured_is_not_written_down(tree: Path) -> None:
    """The results would be of nobody knows what."""
    measured = provenance.now("RESULTS.md", tree)
    assert provenance.confirmed("RESULTS.md", measured, tree) == measured.sentence("RESULTS.md")
    _written(tree / "models" / "daily.sql", "select 3\n")
    with pytest.raises(CodeChanged, match="changed while it was measured: make bench again"):
        provenance.confirmed("RESULTS.md", measured, tree)


def test_a_commit_that_was_not_measured_is_told(tree: Path) -> None:
    """One whose hot path is another, one that is in another history, and none at all."""
    measured = provenance.now("RESULTS.md", tree)
    _written(tree / "land" / "loop.py", "X = 4\n")
    _git(tree, "commit", "--quiet", "--all", "--message", "Change")
    later = provenance.now("RESULTS.md", tree)
    wrong = Provenance(date=later.date, commit=measured.commit, changed=False, digest=later.digest)
    assert "is another" in provenance.contradiction(tree, "RESULTS.md", wrong)
    elsewhere = Provenance(date=later.date, commit=later.commit, changed=True, digest=later.digest)
    _git(tree, "checkout", "--quiet", "-b", "aside", "HEAD~")
    assert "not in the history" in provenance.contradiction(tree, "RESULTS.md", elsewhere)
    nameless = Provenance(date=later.date, commit=None, changed=False, digest=later.digest)
    assert "names no commit" in provenance.contradiction(tree, "RESULTS.md", nameless)


def test_without_history_nobody_can_know(tree: Path, tmp_path: Path) -> None:
    """A shallow clone, a tree whose commits were made anew and one without git have the digest all the same, and say
    what is missing."""
    measured = provenance.now("RESULTS.md", tree)
    _git(tree, "commit", "--quiet", "--allow-empty", "--message", "Later")
    shallow, anew, plain = tmp_path / "shallow", tmp_path / "anew", tmp_path / "plain"
    _git(tmp_path, "clone", "--quiet", "--depth", "1", tree.as_uri(), str(shallow))
    for folder in PATHS:
        for file in (tree / folder).glob("*.*"):
            _written(plain / folder / file.name, file.read_text(encoding="utf-8"))
            _written(anew / folder / file.name, file.read_text(encoding="utf-8"))
    _git(tmp_path, "init", "--quiet", str(anew))
    _git(anew, "add", ".")
    _git(anew, "commit", "--quiet", "--message", "All at once")
    for root, why in ((shallow, measured.commit), (anew, measured.commit), (plain, "not a git repository")):
        assert provenance.digest(root, PATHS) == measured.digest
        with pytest.raises(HistoryMissing, match=re.escape(str(why))):
            provenance.contradiction(root, "RESULTS.md", measured)
    assert provenance.now("RESULTS.md", plain).commit is None
