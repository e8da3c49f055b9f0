"""Penstock: every event, file and API record landed once, its history kept, modelled seconds later."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from penstock.version import __version__

if TYPE_CHECKING:
    from penstock.land.session import Session
    from penstock.project import Project, load_project
    from penstock.runs.api import land, plan, query, run

__all__ = ["Project", "Session", "__version__", "land", "load_project", "plan", "query", "run"]

_HOMES = {
    "Project": "penstock.project",
    "Session": "penstock.land.session",
    "land": "penstock.runs.api",
    "load_project": "penstock.project",
    "plan": "penstock.runs.api",
    "query": "penstock.runs.api",
    "run": "penstock.runs.api",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'penstock' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """Keeps the import of a module inside from hiding the function of the same name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
