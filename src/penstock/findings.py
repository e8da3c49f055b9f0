"""What looking at something without changing it finds, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.errors import PenstockError


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding: ``detail`` says in words what there is. One that ``warns`` and is ``ok`` stops nothing, and looks
    like a mistake."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
    exit_code: int = 1
    warns: bool = False


def failed(name: str, error: PenstockError) -> Finding:
    """The finding that an error is."""
    where = f"{error.where}: " if error.where else ""
    return Finding(name=name, ok=False, detail=where + error.what, fix=error.fix, exit_code=error.exit_code)
