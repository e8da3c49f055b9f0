"""What is loaded in one go: a source into a stream, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from penstock.ports import Target, Window

if TYPE_CHECKING:
    from penstock.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStep:
    """Land what is new in one source into one stream; with ``land``, also in the lake.

    ``lookback`` is how long after a day of the window its records may come: read sooner, it is asked for again.
    """

    stream: str
    source: str
    window: Window | None = None
    fingerprint: bool = True
    land: bool = False
    lookback: timedelta = timedelta()

    def target(self, project: Project, *, replay: bool = False) -> Target:
        """What the destination has to know. A replay adds to a stream, also to one that loads replace."""
        return Target(spec=project.spec(self.stream), source=self.source, partial=replay)
