"""Penstock: every event, file and API record landed once, its history kept, modelled seconds later."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from penstock.version import __version__

if TYPE_CHECKING:
    from penstock.api import land, plan, query, run
    from penstock.land.session import Session
    from penstock.project import Project, load_project

__all__ = ["Project", "Session", "__version__", "land", "load_project", "plan", "query", "run"]

_HOMES = {
    "Project": "penstock.project",
    "Session": "penstock.land.session",
    "land": "penstock.api",
    "load_project": "penstock.project",
    "plan": "penstock.api",
    "query": "penstock.api",
    "run": "penstock.api",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'penstock' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """Keeps ``penstock.land`` the function.

    Python makes each package an attribute of the one around it, so the first import from the package ``land`` would
    hide the function of that name. Only a class of its own lets a module say no to that. ``from penstock.land import
    loop`` does not ask the attribute, and works as ever.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
