"""A Dockerfile, read; and its steps, done without Docker in a folder that stands for the root of the images."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tests.support.compose import ROOT

DOCKERFILE = ROOT / "Dockerfile"
_OURS = re.compile(r"(?<![\w./-])/(build|opt/penstock|project|requirements|source|wheels)\b")
"""The absolute paths that the steps make."""
_SYSTEM = ("apt-get", "useradd")
_PIP = re.compile(r"python3? -m pip --python (\S+) install --no-cache-dir")


@dataclass(kw_only=True)
class Stage:
    """One ``FROM`` and what follows it."""

    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def last(self, word: str) -> str:
        """What the last instruction of a kind says."""
        return [said for w, said in self.steps if w == word][-1]


def stages() -> dict[str, Stage]:
    """The stages by their names. Lines that go on are one, comments are left out."""
    text = re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"))
    found: dict[str, Stage] = {}
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        word, _, said = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = said.partition(" AS ")
            found[name] = Stage(base=base)
        elif word:
            found[list(found)[-1]].steps.append((word, said.strip()))
    return found


def health_command(said: str) -> list[str]:
    """The command of a ``HEALTHCHECK``."""
    command: list[str] = json.loads(said.partition("CMD ")[2])
    return command


def ignored(path: str) -> bool:
    """Whether ``.dockerignore`` keeps a file of the repository from the build: the last rule that fits decides."""
    found = False
    parts = Path(path).parts
    for rule in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.removeprefix("!")
        heads = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
        if pattern.startswith("**/"):
            fits = any(fnmatchcase(part, pattern[3:]) for part in parts)
        else:
            # a * does not reach over a slash
            fits = any(fnmatchcase(h, pattern) and h.count("/") == pattern.count("/") for h in heads)
        found = not rule.startswith("!") if fits else found
    return found


class ByHand:
    """Does the steps of stages, in order, below ``root``.

    Two things are not Docker's: what a stage takes from another is moved, not copied, and packages come by uv instead
    of pip, from the same hashed files, whose cache saves a minute.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ: dict[str, str] = {}
        (root / "bin").mkdir(parents=True)
        (root / "bin" / "python").symlink_to(everyones_python())
        self._uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")

    def path(self, text: str) -> str:
        """With the images' absolute paths below our root."""
        return _OURS.sub(lambda m: f"{self.root}{m[0]}", text)

    def leave(self, name: str) -> None:
        """End a stage: what it made is there for ``COPY --from`` only."""
        for made in [p for p in self.root.iterdir() if p.name not in ("bin", ".stages")]:
            kept = self.root / ".stages" / name / made.name
            kept.parent.mkdir(parents=True, exist_ok=True)
            made.rename(kept)

    def do(self, stage: Stage) -> None:
        """Do the steps, but for those of the image's system."""
        directory = self.root
        for word, said in stage.steps:
            match word:
                case "WORKDIR":
                    directory = Path(self.path(said))
                    directory.mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(said, directory)
                case "RUN" if not any(word in said for word in _SYSTEM):
                    self._run(said, directory)
                case "ENV":
                    self.environ |= dict(self._variables(said))
                case _:
                    pass

    def _variables(self, said: str) -> Iterator[tuple[str, str]]:
        for pair in shlex.split(said):
            name, _, value = pair.partition("=")
            yield name, self.path(value).replace("$PATH", os.environ["PATH"])

    def _copy(self, said: str, directory: Path) -> None:
        flags = [w for w in said.split() if w.startswith("--")]
        *sources, target = [w for w in said.split() if not w.startswith("--")]
        into = directory / self.path(target)
        stage = next((f.removeprefix("--from=") for f in flags if f.startswith("--from=")), "")
        if stage == "project":  # nothing but a folder of the repository
            sources = [stages()["project"].last("COPY").split()[0]]
        elif stage:
            (source,) = sources
            into.parent.mkdir(parents=True, exist_ok=True)
            Path(f"{self.root}/.stages/{stage}{source}").rename(into)
            return
        for source in sources:
            self._copy_tree(source, into, folder=target.endswith("/"))

    def _copy_tree(self, source: str, into: Path, *, folder: bool) -> None:
        found = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", source],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.splitlines()  # fmt: skip
        there = [f for f in found if not ignored(f) and (ROOT / f).is_file()]
        assert there, f"{source} is not in the build's context"
        for name in there:
            inner = Path(name).relative_to(source) if (ROOT / source).is_dir() else None
            copy = into / inner if inner else into / Path(name).name if folder or into.is_dir() else into
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy)

    def _run(self, said: str, directory: Path) -> None:
        command = self.path(_PIP.sub(rf"{shlex.quote(self._uv)} pip install --quiet --python \1", said))
        command = command.replace(" --compile ", " --compile-bytecode ")
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        environ = kept | {"PATH": f"{self.root / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=directory, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def everyones_python() -> Path:
    """A Python that any user may run: ours, unless it is in a folder of root's, else the system's."""
    for found in (Path(os.path.realpath(sys.executable)), Path("/usr/bin/python3"), Path("/usr/local/bin/python3")):
        if os.geteuid() == 0 and not all(p.stat().st_mode & 0o001 for p in (found, *found.parents) if p.exists()):
            continue
        asked = [str(found), "-c", "import sys, venv; sys.exit(sys.version_info < (3, 11))"]
        if found.exists() and subprocess.run(asked, check=False).returncode == 0:
            return found
    raise AssertionError("no Python 3.11 that another user than root may run: apt-get install -y python3")


def account(user: str) -> Mapping[str, Any]:
    """How to start a process as a ``USER``, where we may; else it runs as us, who are not root either."""
    if os.geteuid() != 0:
        return {}
    uid, _, gid = user.partition(":")
    return {"user": int(uid), "group": int(gid), "extra_groups": []}
