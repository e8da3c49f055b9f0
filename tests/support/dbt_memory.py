"""dbt remembers between the builds of one process what it parsed and compiled: the same macros again and again."""

from __future__ import annotations

from types import CodeType
from typing import Any

from dbt_common.clients import jinja
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

    jinja.MacroFuzzEnvironment.compile = compile_once
