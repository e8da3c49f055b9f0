"""What dbt need not do again and again in one process: parse and compile the same macros, judge the same settings,
make the same constants, look for who asks, make words of what nobody hears, and write JSON in small pieces."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import CodeType
from typing import Any

import parsedatetime
from dbt.artifacts.schemas import base
from dbt_common.behavior_flags import BehaviorFlagRendered
from dbt_common.clients import jinja
from dbt_common.clients.system import write_file
from dbt_common.dataclass_schema import dbtClassMixin
from dbt_common.events.base_types import BaseEvent
from dbt_common.events.event_manager import EventManager
from dbt_common.tests import enable_test_caching
from dbt_common.utils.encoding import JSONEncoder

_compiled: dict[tuple[type, str], CodeType] = {}
_valid: set[tuple[type, str]] = set()


def remember() -> None:
    """Have it do so: by its own means for what a macro parses to, by ours for the rest."""
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

    _replace(jinja.MacroFuzzEnvironment, "compile", compile_once)
    validate_anew: Any = vars(dbtClassMixin)["validate"].__func__

    def validate_once(of: type, data: Any) -> None:
        # hundreds of nodes have one of few configurations
        key = (of, repr(data))
        if key not in _valid:
            validate_anew(of, data)
            _valid.add(key)

    _replace(dbtClassMixin, "validate", classmethod(validate_once))
    # piece by piece, as dbt does it, the encoder is one in Python
    _replace(base, "write_json", lambda path, data: write_file(path, json.dumps(data, cls=JSONEncoder)))
    # the calendars of a language: each table of an answer has three, of the same one
    _replace(parsedatetime, "Constants", cache(parsedatetime.Constants))
    # else, with each command, it reads the source of all that calls it, which under pytest is much
    _replace(BehaviorFlagRendered, "_default_source", staticmethod(lambda: "dbt.adapters"))
    _make_events_late()
    _leave_out(lambda level: level == "debug")  # no log of ours has these


@contextmanager
def unheard() -> Iterator[None]:
    """Have dbt make no words of what is neither a warning nor an error either."""
    fire = EventManager.fire_event
    _leave_out(lambda level: level not in ("warn", "error"))
    try:
        yield
    finally:
        _replace(EventManager, "fire_event", fire)


def _leave_out(left_out: Callable[[str], bool]) -> None:
    """Have events of these levels go nowhere."""
    fire = EventManager.fire_event

    def fire_event(manager: Any, e: Any, level: Any = None, **more: Any) -> None:
        if not left_out((level or e.level_tag()).value):
            fire(manager, e, level, **more)

    _replace(EventManager, "fire_event", fire_event)


def _make_events_late() -> None:
    """Have an event's message made when it is first looked at."""
    event_class: Any = BaseEvent  # half typed
    make, look, change = event_class.__init__, event_class.__getattr__, event_class.__setattr__

    def __init__(event: Any, *arguments: Any, **named: Any) -> None:
        vars(event)["_given"] = (arguments, named)

    def made(event: Any) -> None:
        if "_given" in vars(event):
            arguments, named = vars(event).pop("_given")
            make(event, *arguments, **named)

    def __getattr__(event: Any, name: str) -> Any:
        made(event)
        return vars(event)["pb_msg"] if name == "pb_msg" else look(event, name)

    def __setattr__(event: Any, name: str, value: Any) -> None:
        made(event)
        change(event, name, value)

    for method in (__init__, __getattr__, __setattr__):
        _replace(BaseEvent, method.__name__, method)


def _replace(owner: Any, name: str, value: Any) -> None:
    """Put another in place of what a class or a module has; as a function, since mypy sees a method."""
    setattr(owner, name, value)
