"""What dbt can leave out of a build that follows a load.

It stands in for parts of dbt-core 1.11 and 1.12 while :class:`Lean` is in use, and puts them back.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from functools import cache
from types import TracebackType
from typing import Any

_MOST_IDLE = 16


class Lean:
    """A context in which dbt keeps its connections to PostgreSQL from model to model, and does not ask for each model
    whether its ``varchar`` columns should grow.

    A model that does need a wider column fails in it, and has to be built outside. Not reentrant.
    """

    def __init__(self) -> None:
        self._idle: list[Any] = []
        self._lock = threading.Lock()
        self._replaced: list[tuple[Any, str, Any]] = []
        self._settled = False

    def __enter__(self) -> None:
        from dbt.adapters.sql import SQLAdapter
        from dbt_common.clients import agate_helper
        from dbt_common.events.event_manager import EventManager

        self._replace(SQLAdapter, "expand_column_types", _leave_as_they_are)
        self._replace(agate_helper, "build_type_tester", _remembering(agate_helper.build_type_tester))
        self._replace(EventManager, "fire_event", _only_bad_news(EventManager.fire_event))
        try:
            from dbt.adapters.postgres import PostgresAdapter
        except ImportError:
            pass
        else:
            self._replace(PostgresAdapter, "ConnectionManager", self._keeping(PostgresAdapter.ConnectionManager))
        if not self._settled:
            # dbt's manifest stays as it is: not to be gone through by every collection of a build
            gc.collect()
            gc.freeze()
            self._settled = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._replaced:
            owner, name, before = self._replaced.pop()
            setattr(owner, name, before)
        if error is not None:
            self.close()

    def close(self) -> None:
        """Close the connections that are kept, and have the collector look at everything again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for handle in idle:
            handle.close()
        if self._settled:
            gc.unfreeze()
            self._settled = False

    def _replace(self, owner: Any, name: str, value: Any) -> None:
        self._replaced.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def _keeping(self, manager: Any) -> Any:
        keep, take = self._keep, self._take

        class Keeping(manager):  # type: ignore[misc]
            """Closes a connection by laying it aside, and opens one by taking what lies there."""

            @classmethod
            def open(cls, connection: Any) -> Any:
                handle = None if connection.state == "open" else take()
                if handle is None:
                    return super().open(connection)
                connection.handle, connection.state = handle, "open"
                return connection

            @classmethod
            def _close_handle(cls, connection: Any) -> None:
                connection.handle.rollback()
                if not keep(connection.handle):
                    super()._close_handle(connection)

        return Keeping

    def _take(self) -> Any:
        """A connection as good as new, without temporary tables and settings; None when there is none."""
        import psycopg2

        while True:
            with self._lock:
                if not self._idle:
                    return None
                handle = self._idle.pop()
            try:
                handle.autocommit = True
                with handle.cursor() as cursor:
                    cursor.execute("discard all")
                handle.autocommit = False
            except psycopg2.Error:
                handle.close()
            else:
                return handle

    def _keep(self, handle: Any) -> bool:
        with self._lock:
            kept = not handle.closed and len(self._idle) < _MOST_IDLE
            if kept:
                self._idle.append(handle)
        return kept


def _leave_as_they_are(*_: Any, **__: Any) -> None:
    """In place of ``expand_column_types``."""


def _remembering(build: Callable[..., Any]) -> Callable[..., Any]:
    """In place of ``build_type_tester``: the same for the same columns."""

    @cache
    def built(columns: frozenset[str], null_values: tuple[str, ...]) -> Any:
        return build(columns, null_values)

    return lambda text_columns, string_null_values=("null", ""): built(
        frozenset(text_columns), tuple(string_null_values)
    )


def _only_bad_news(fire: Callable[..., None]) -> Callable[..., None]:
    """In place of ``fire_event``: nothing is made of what would not be shown."""

    def fire_event(manager: Any, e: Any, level: Any = None, **more: Any) -> None:
        if (level or e.level_tag()).value in ("warn", "error"):
            fire(manager, e, level, **more)

    return fire_event
