"""Takes the values of rows out of what the warehouse tells dbt went wrong, before dbt makes results, events and logs of
it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import Any

from penstock.engine_errors import error_text

_ADAPTERS = {
    "dbt.adapters.duckdb.connections": "DuckDBConnectionManager",
    "dbt.adapters.postgres.connections": "PostgresConnectionManager",
    "dbt.adapters.spark.connections": "SparkConnectionManager",
}
_MARK = "_penstock_masks"

Handler = Callable[..., AbstractContextManager[Any]]


def mask_errors() -> None:
    """Have the adapters that dbt has loaded raise masked errors, until the process ends. Harmless again."""
    for module, name in _ADAPTERS.items():
        manager = getattr(sys.modules.get(module), name, None)
        if manager is not None and not hasattr(manager.exception_handler, _MARK):
            manager.exception_handler = _masking(manager.exception_handler)


def _masking(handler: Handler) -> Handler:
    """``handler``, which turns an engine's errors into dbt's, given errors without values."""

    @contextmanager
    def masking(*arguments: Any, **named: Any) -> Iterator[Any]:
        with handler(*arguments, **named) as given:
            try:
                yield given
            except Exception as e:
                text = error_text(e)
                if text == str(e):
                    raise
                raise _like(e, text) from None

    wrapped = wraps(handler)(masking)
    setattr(wrapped, _MARK, True)
    return wrapped


def _like(error: Exception, text: str) -> Exception:
    """An error of the same class with another text: dbt decides by the class what to do."""
    try:
        return type(error)(text)
    except TypeError:  # one that is made otherwise, as UnicodeDecodeError is
        return RuntimeError(text)
