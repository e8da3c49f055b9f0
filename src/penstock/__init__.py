"""Penstock: every event, file and API record landed once, its history kept, modelled seconds later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.version import __version__

if TYPE_CHECKING:
    from penstock.land.session import Session
    from penstock.project import Project, load_project

__all__ = ["Project", "Session", "__version__", "load_project"]

_HOMES = {"Project": "penstock.project", "load_project": "penstock.project", "Session": "penstock.land.session"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'penstock' has no attribute {name!r}")
