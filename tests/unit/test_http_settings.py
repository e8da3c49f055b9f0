"""The settings of a connection to an HTTP API."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from penstock.project.http_client import HttpConnection


def settings(**more: Any) -> HttpConnection:
    """Right ones, with more of them."""
    return HttpConnection.model_validate({"base_url": "https://api.example.com/v1/", **more})


def test_defaults() -> None:
    """A base URL is enough."""
    found = settings()
    assert found.base_url == "https://api.example.com/v1"
    assert (found.auth, found.rate_limit, found.http2) == (None, None, False)
    assert (found.timeouts.connect_seconds, found.timeouts.read_seconds, found.timeouts.run_seconds) == (10, 60, None)
    assert (found.retries.attempts, found.breaker.failures, found.breaker.open_seconds) == (6, 10, 30)


def test_a_number_is_a_rate() -> None:
    """Requests a second."""
    limit = settings(rate_limit=10).rate_limit
    assert limit is not None and (limit.requests, limit.per, limit.burst) == (10, "second", 1)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"base_url": "api.example.com"}, "expected base_url such as https://"),
        ({"base_url": "ftp://h"}, "expected base_url such as https://"),
        ({"base_url": "http://h:port"}, "expected base_url such as https://"),
        ({"base_url": "https://ann:hunter22@h"}, "put them into auth, with type: basic"),
        ({"base_url": "https://h/v1?key=hunter22"}, "put its parameters into params"),
        (
            {"auth": {"type": "oauth2", "token_url": "h", "client_id": "a", "client_secret": "hunter22"}},
            "token_url such",
        ),
        ({"auth": {"type": "magic", "token": "hunter22"}}, "'bearer', 'basic', 'api_key', 'oauth2'"),
        ({"auth": {"type": "bearer"}}, "Field required"),
        ({"auth": {"type": "bearer", "token": "hunter22\r\nX-Evil: 1"}}, "one line"),
        ({"headers": {"X-A": "hunter22é"}}, "ASCII"),
        ({"auth": {"type": "api_key", "key": "hunter22", "name": "X: Key"}}, "match pattern"),
        ({"rate_limit": 0}, "greater than 0"),
        ({"rate_limit": {"requests": 1, "per": "day"}}, "'second', 'minute' or 'hour'"),
        ({"timeouts": {"connect": 1}}, "Extra inputs"),
        ({"retries": {"attempts": 0}}, "greater than or equal to 1"),
    ],
)
def test_wrong_settings(wrong: dict[str, Any], words: str) -> None:
    """Each is refused in words, and shows no secret."""
    with pytest.raises(ValidationError, match=words) as e:
        settings(**wrong)
    assert "hunter22" not in str(e.value)
