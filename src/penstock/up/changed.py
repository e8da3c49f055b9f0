"""Notices that the project's file is not the one any more with which the process was started."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

from penstock.errors import PenstockError, ProjectError
from penstock.logs import get_log

if TYPE_CHECKING:
    from penstock.project import Project

_log = get_log("up")


class ChangedFile:
    """Compares ``penstock.yml``, and the files beside it that stand over it, with what they were.

    Models are no part of it: dbt reads them anew by itself. :meth:`look` may be called from any thread.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._first = self._seen = self._content()
        self._note = ""

    def look(self) -> str:
        """What there is to say: that the process goes on with what it was started with, and what to do; empty when
        nothing was changed, or what was is changed back. Each change is logged once."""
        with self._lock:
            content = self._content()
            if content != self._seen:
                self._seen = content
                self._note = "" if content == self._first else self._found()
                if self._note:
                    _log.warning(self._note)
            return self._note

    def _found(self) -> str:
        from penstock.project import load_project

        name = self._project.file.name
        try:
            load_project(self._project.directory, target=self._project.target)
        except PenstockError as e:
            return (
                f"{name} was changed, and cannot be read; penstock up goes on with what it was started with: {e.what}"
            )
        return (
            f"{name} was changed; penstock up goes on with what it was started with:"
            " stop it with Ctrl-C or SIGTERM and start it again, which loses nothing"
        )

    def _content(self) -> str:
        from penstock.project import variables_of
        from penstock.project.environments import layer_file

        digest = hashlib.sha256()
        file = self._project.file
        try:
            over = layer_file(file, variables_of(file.parent))
        except ProjectError:  # it is gone
            over = None
        for path in filter(None, (file, over, file.parent / ".env")):
            try:
                digest.update(f"{path.name}\0".encode() + path.read_bytes())
            except OSError:
                continue
        return digest.hexdigest()
