"""What dbt need not do again and again in one process: parse and compile the same macros, tell what nobody hears."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any

from dbt_common.clients import jinja
from dbt_common.events.event_manager import EventManager
from dbt_common.tests import enable_test_caching

_compiled: dict[tuple[type, str], CodeType] = {}


def remember() -> None:
    """Have it do so: by its own means for what a macro parses to, by ours for the code that is made of it."""
    enable_test_caching()
    compile_anew = jinja.MacroFuzzEnvironment.compile

    def compile_once(environment: Any, source: Any, *more: Any, **named: Any) -> Any:
        if more or named or not isinstance(source, str):
            return compile_anew(environment, source, *more, **named)
        # of the environment, only its class decides on the code
        key = (type(environment), source)
        if key not in _compiled:
            _compiled[key] = compile_anew(environment, source)
        return _compiled[key]

    setattr(jinja.MacroFuzzEnvironment, "compile", compile_once)  # noqa: B010 - a method, as mypy sees it


@contextmanager
def unheard() -> Iterator[None]:
    """Have dbt make no words of what is neither a warning nor an error: a fifth of what a build takes."""
    fire = EventManager.fire_event

    def fire_event(manager: Any, e: Any, level: Any = None, **more: Any) -> None:
        if (level or e.level_tag()).value in ("warn", "error"):
            fire(manager, e, level, **more)

    setattr(EventManager, "fire_event", fire_event)  # noqa: B010 - a method, as mypy sees it
    try:
        yield
    finally:
        setattr(EventManager, "fire_event", fire)  # noqa: B010 - likewise
