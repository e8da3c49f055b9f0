"""Commands in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from penstock.cli.app import app
from penstock.errors import PenstockError


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str


def command(project: Path, *words: str) -> Done:
    """Run a command in this process."""
    done = CliRunner().invoke(app, [*words, "--project-dir", str(project)])
    code = done.exception.exit_code if isinstance(done.exception, PenstockError) else done.exit_code
    return Done(code, done.stdout, done.stderr)
