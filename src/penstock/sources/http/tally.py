"""Requests to APIs, counted for the whole process, by source."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Literal

Outcome = Literal["answered", "refused", "broken"]

_lock = threading.Lock()
_requests: Counter[tuple[str, str]] = Counter()
_retries: Counter[str] = Counter()


def count_request(source: str, outcome: Outcome) -> None:
    """One more: ``answered`` below 400, ``refused`` above, or ``broken`` off without an answer."""
    with _lock:
        _requests[source, outcome] += 1


def count_retry(source: str) -> None:
    """One more that was sent again."""
    with _lock:
        _retries[source] += 1


def requests() -> dict[tuple[str, str], int]:
    """By source and outcome."""
    with _lock:
        return dict(_requests)


def retries() -> dict[str, int]:
    """By source."""
    with _lock:
        return dict(_retries)
