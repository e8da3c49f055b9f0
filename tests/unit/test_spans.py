"""Lengths of time as people write them: one reading for all settings."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from penstock.project.http import Duration
from penstock.project.schedule import Span
from penstock.spans import SCHEMA, span_text, time_span

_FORMS: Any = SCHEMA["anyOf"]
PATTERN = re.compile(_FORMS[1]["pattern"])


@given(st.integers(0, 366 * 86_400).map(lambda seconds: timedelta(seconds=seconds)))
def test_what_is_written_is_read(span: timedelta) -> None:
    """By a schedule as by an API's endpoint, and an editor calls it right."""
    text = span_text(span)
    assert time_span(text) == span
    assert TypeAdapter(Span).validate_python(text) == TypeAdapter(Duration).validate_python(text) == span
    assert PATTERN.search(text)


@given(st.from_regex(r"\A[ 0-9.smhdwSMHDWx-]{0,8}\Z"))
def test_an_editor_and_the_commands_agree(text: str) -> None:
    """The schema takes what the parser takes."""
    try:
        time_span(text)
    except ValueError as e:
        assert "fewer than" in str(e) or not PATTERN.search(text)
    else:
        assert PATTERN.search(text)


@pytest.mark.parametrize("kind", [Span, Duration])
@pytest.mark.parametrize(
    "value", ["soon", "-5", -5, "", True, "5 parsecs", "1h30", float("inf"), float("nan"), 10**400, "9" * 400]
)
def test_what_is_no_duration_is_an_error(kind: Any, value: Any) -> None:
    """Never another exception, nor another duration."""
    with pytest.raises(ValidationError, match="expected a duration"):
        TypeAdapter(kind).validate_python(value)


def test_an_endpoint_may_look_back_further_than_a_year() -> None:
    """A schedule may not."""
    assert TypeAdapter(Duration).validate_python("1000d") == timedelta(days=1000)
    with pytest.raises(ValidationError, match="from 0s to 366d"):
        TypeAdapter(Span).validate_python("1000d")
