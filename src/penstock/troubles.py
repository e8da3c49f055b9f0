"""What something that lives long struggles with, and since when."""

from __future__ import annotations

from datetime import UTC, datetime


class Troubles:
    """Has ``last_error``: empty when all is well. Whenever that is set, ``last_error_at`` says when it was; None when
    there is none."""

    last_error_at: datetime | None = None
    _last_error = ""

    @property
    def last_error(self) -> str:
        """Why it does not do well, or did not the last time."""
        return self._last_error

    @last_error.setter
    def last_error(self, error: str) -> None:
        self._last_error = error
        self.last_error_at = datetime.now(UTC) if error else None
