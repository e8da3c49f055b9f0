"""The platform without Docker: compose files as Docker Compose reads them, and the scripts that its services run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import yaml

from penstock.testing.postgres import PrivatePostgres

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose.yaml"
OVERRIDE = ROOT / "compose.override.yaml"
ENV_EXAMPLE = ROOT / ".env.example"
DATABASE_SCRIPTS = ROOT / "scripts" / "postgres"
VARIABLE = re.compile(r"\$\$|\$\{(?P<name>[A-Za-z_]\w*)(?:(?P<how>:?[-?+])(?P<word>[^}]*))?\}|\$(?P<bare>[A-Za-z_]\w*)")
"""One use of a variable (Compose Specification, chapter 12), or ``$$``, which stands for itself."""


class Unset(Exception):
    """A variable that has to be set is not."""


def raw(path: Path = COMPOSE) -> dict[str, Any]:
    """The file with its anchors and merges, and its variables as written."""
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def services(variables: Mapping[str, str], path: Path = COMPOSE) -> dict[str, dict[str, Any]]:
    """The services with their variables put in.

    Raises:
        Unset: a variable that has to be set is not; with the message of the file.
    """
    found: dict[str, dict[str, Any]] = _filled(raw(path)["services"], variables)
    return found


def uses(path: Path = COMPOSE) -> Iterator[re.Match[str]]:
    """Every use of a variable."""
    for text in _texts(raw(path)):
        yield from (m for m in VARIABLE.finditer(text) if m[0] != "$$")


def variables_of(path: Path) -> dict[str, str]:
    """The variables of a file such as ``.env``."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Za-z_]\w*=", line))


def make_env(folder: Path) -> dict[str, str]:
    """The variables that ``scripts/make_env`` makes in a folder; what ``.env`` there has already stays."""
    (folder / "scripts").mkdir(exist_ok=True)
    shutil.copy(ROOT / "scripts" / "make_env", folder / "scripts")
    shutil.copy(ENV_EXAMPLE, folder)
    subprocess.run([folder / "scripts" / "make_env"], check=True, cwd="/")
    return variables_of(folder / ".env")


def run_database_scripts(server: PrivatePostgres, environ: Mapping[str, str]) -> tuple[int, str]:
    """What PostgreSQL's image does on an empty volume: psql as the superuser, one script after the other by name.

    Returns:
        The exit code, that of the first that failed, and what was said.
    """
    said = ""
    for script in sorted(DATABASE_SCRIPTS.iterdir()):
        done = subprocess.run(
            ["psql", "--no-psqlrc", "--no-password", "-v", "ON_ERROR_STOP=1", "--dbname", server.url, "-f", script],
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        said += done.stdout + done.stderr
        if done.returncode:
            return done.returncode, said
    return 0, said


def ask_for_passwords(server: PrivatePostgres) -> None:
    """Have the server ask all but its superuser for a password, as the image's does."""
    rules = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
    (server.folder / "data" / "pg_hba.conf").write_text(rules)
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute("select pg_reload_conf()")


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {k: _filled(v, variables) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, variables) for v in value]
    return VARIABLE.sub(lambda m: _value(m, variables), value) if isinstance(value, str) else value


def _value(use: re.Match[str], variables: Mapping[str, str]) -> str:
    if use[0] == "$$":
        return "$"
    name, how, word = use["name"] or use["bare"], use["how"] or "", use["word"] or ""
    given = variables.get(name)
    there = given is not None and (given != "" or ":" not in how)
    if how.endswith("?") and not there:
        raise Unset(f"{name}: {word}")
    if how.endswith("+"):
        return word if there else ""
    return given or "" if there or not how else word


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value
