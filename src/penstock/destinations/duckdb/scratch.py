"""A DuckDB file to try something out in."""

from __future__ import annotations

import shutil
from pathlib import Path

from penstock.project import DuckDB


class DuckDBScratch:
    """A file in ``folder``, which whoever made the folder deletes. It has the name of the warehouse that it stands for,
    since models may name the database."""

    def __init__(self, settings: DuckDB, folder: Path) -> None:
        self.settings = self._in(settings, folder / "scratch")
        self.copy = self._in(settings, folder / "copy")

    def fill_copy(self) -> None:
        """Have the second file hold the same."""
        shutil.copyfile(self.settings.path, self.copy.path)

    def _in(self, settings: DuckDB, folder: Path) -> DuckDB:
        folder.mkdir()
        return settings.model_copy(update={"path": folder / settings.path.name})
