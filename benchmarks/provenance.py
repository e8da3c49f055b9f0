"""Which code the results are of: the commit they were measured at, and a digest of the code that they measure.

A commit alone cannot say it: results may be measured before the change that they are of is committed, and most commits
change nothing that is measured. So each page of results names both, and is current while the digest is that of the
files as they are now. The digest leaves out comments, docstrings and blank lines of Python, which cost nothing.
"""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import tarfile
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.process import ROOT

_LANDING = (
    "src/penstock/destinations",
    "src/penstock/land",
    "src/penstock/ledger",
    "src/penstock/native",
    "src/penstock/records",
    "src/penstock/shape",
    "src/penstock/sources/gathering.py",
)
_FILES = (*_LANDING, "src/penstock/sources/files")
_QUEUES = (*_LANDING, "src/penstock/sources/rabbitmq", "src/penstock/runs/consume.py")
_MODELS = (
    "examples/user_events/macros",
    "examples/user_events/models",
    "src/penstock/dbt",
    "src/penstock/transform",
)

_SPARK = ("src/penstock/destinations/spark/", "src/penstock/dbt/macros/spark/")
"""What only an engine runs that a page of its own measures: no other page counts it as code that it measured."""

HOT_PATHS: Mapping[str, tuple[str, ...]] = {
    "RESULTS.md": (*_FILES, *_MODELS),
    "RESULTS-http.md": (*_LANDING, "src/penstock/sources/http"),
    "RESULTS-queue.md": (*_QUEUES, *_MODELS, "src/penstock/publish", "src/penstock/up"),
    "RESULTS-sizes.md": (*_FILES, *_MODELS),
    "RESULTS-soak.md": _QUEUES,
    "RESULTS-spark.md": (*_FILES, *_MODELS, *_SPARK),
}
"""Page of results → files and folders whose code it measures."""

TARGETS: Mapping[str, str] = {
    "RESULTS.md": "make bench",
    "RESULTS-http.md": "make bench-http",
    "RESULTS-queue.md": "make bench-queue",
    "RESULTS-sizes.md": "make bench-sizes",
    "RESULTS-soak.md": "make soak",
    "RESULTS-spark.md": "make bench-spark",
}
"""Page of results → what makes it anew."""

_CODE = (".c", ".h", ".py", ".sql")
_SENTENCE = re.compile(
    r"Measured by `[^`]+` on (?P<date>\d{4}-\d\d-\d\d), "
    r"at (?:commit `(?P<commit>[0-9a-f]{40})`(?P<changed> with changes on top)?|no known commit), "
    r"hot path `(?P<digest>[0-9a-f]{64})`\."
)


class HistoryMissing(Exception):
    """There is no history of git here, or not all of it."""


class CodeChanged(Exception):
    """The code is not the one that was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What a page of results says of the code that it measured.

    ``commit`` is what was checked out, None where git did not say; ``changed`` is whether the hot path differed
    from it; ``digest`` is that of the hot path as it was measured.
    """

    date: str
    commit: str | None
    changed: bool
    digest: str

    def sentence(self, page: str) -> str:
        """As it stands on the page; :func:`read` is its inverse."""
        commit = f"commit `{self.commit}`" if self.commit else "no known commit"
        changed = " with changes on top" if self.changed else ""
        return f"Measured by `{TARGETS[page]}` on {self.date}, at {commit}{changed}, hot path `{self.digest}`."


def now(page: str, root: Path = ROOT) -> Provenance:
    """Of the code as it is: to be taken before anything is measured."""
    current = digest(root, HOT_PATHS[page])
    try:
        commit = _git(root, "rev-parse", "--verify", "HEAD").decode().strip()
        changed = digest_at(root, commit, HOT_PATHS[page]) != current
    except HistoryMissing:
        commit, changed = None, False
    return Provenance(date=f"{datetime.now(UTC):%Y-%m-%d}", commit=commit, changed=changed, digest=current)


def confirmed(page: str, measured: Provenance, root: Path = ROOT) -> str:
    """The sentence for the page, after all was measured.

    Raises:
        CodeChanged: the hot path is another by now, so that nobody knows what was measured.
    """
    if digest(root, HOT_PATHS[page]) != measured.digest:
        raise CodeChanged(f"the code that {page} is of changed while it was measured: {TARGETS[page]} again")
    return measured.sentence(page)


def read(text: str) -> Provenance | None:
    """What a page of results says; None when it does not say it."""
    match = _SENTENCE.search(text)
    if match is None:
        return None
    return Provenance(
        date=match["date"], commit=match["commit"], changed=match["changed"] is not None, digest=match["digest"]
    )


def digest(root: Path, paths: Iterable[str]) -> str:
    """The digest of the code below ``paths``, as the files are now. Works without git, in an unpacked sdist too."""
    return _digest((name, (root / name).read_bytes()) for path in paths for name in _names(root, path))


def digest_at(root: Path, commit: str, paths: Sequence[str]) -> str:
    """The digest of the code below ``paths`` at a commit.

    Raises:
        HistoryMissing: there is no git, no repository, or the commit is not in it.
    """
    listed = _git(root, "ls-tree", "-r", "-z", "--name-only", commit, "--", *paths).decode().split("\0")
    names = [name for name in listed if any(_is_of(path, name) for path in paths)]
    with tarfile.open(fileobj=io.BytesIO(_git(root, "archive", commit, "--", *names))) as archive:
        return _digest((name, _content(archive, name)) for name in names)


def contradiction(root: Path, page: str, named: Provenance) -> str:
    """Why the commit that a page names cannot be the one it was measured at; empty when it can.

    Raises:
        HistoryMissing: the history here does not have the commit, as in a shallow clone, in a package of the source,
            and where commits were made anew; so that nobody can know.
    """
    if named.commit is None:
        return "it names no commit"
    _git(root, "cat-file", "-e", f"{named.commit}^{{commit}}")
    try:
        _git(root, "merge-base", "--is-ancestor", named.commit, "HEAD")
    except HistoryMissing:
        return f"commit {named.commit} is not in the history"
    if not named.changed and digest_at(root, named.commit, HOT_PATHS[page]) != named.digest:
        return f"the hot path at commit {named.commit} is another"
    return ""


def _names(root: Path, path: str) -> Iterator[str]:
    whole = root / path
    files = [whole] if whole.is_file() else whole.rglob("*")
    yield from (name for file in files if _is_of(path, name := file.relative_to(root).as_posix()))


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def _is_of(path: str, name: str) -> bool:
    """Whether a file is code below a path that a page names."""
    below = name == path or name.startswith(f"{path.rstrip('/')}/")
    return below and name.endswith(_CODE) and (path in _SPARK or not name.startswith(_SPARK))


def _digest(files: Iterable[tuple[str, bytes]]) -> str:
    whole = hashlib.sha256()
    for name, content in sorted(files):
        code = _without_words(content.decode()).encode() if name.endswith(".py") else content
        whole.update(f"{name}\0{hashlib.sha256(code).hexdigest()}\n".encode())
    return whole.hexdigest()


def _without_words(source: str) -> str:
    """Python without comments, docstrings and blank lines: cut from the text, since other Pythons tokenise the rest
    in other ways."""
    lines = source.splitlines(keepends=True)
    cuts: list[tuple[tuple[int, int], tuple[int, int]]] = []
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    statement = True
    for token, after in zip(tokens, [*tokens[1:], tokens[-1]], strict=True):
        ended = after.type in (tokenize.NEWLINE, tokenize.COMMENT)
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and statement and ended):
            cuts.append((token.start, token.end))
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            statement = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    for (first, start), (last, end) in reversed(cuts):
        lines[first - 1 : last] = [lines[first - 1][:start] + lines[last - 1][end:]]
    return "".join(f"{line.rstrip()}\n" for line in lines if line.strip())


def _git(root: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
    except OSError as e:
        raise HistoryMissing(f"git cannot be run: {e}") from None
    if done.returncode:
        raise HistoryMissing(done.stderr.decode(errors="replace").strip() or f"git {arguments[0]} says no")
    return done.stdout
