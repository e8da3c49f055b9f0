"""What every part of ``penstock up`` promises."""

from __future__ import annotations

from typing import Protocol


class Job(Protocol):
    """What a part does: runs in its thread until it is stopped, or fails."""

    def run(self) -> None:
        """Return once stopped."""
        ...
