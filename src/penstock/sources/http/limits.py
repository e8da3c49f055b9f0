"""When the next request may be sent: the limit that the project declares, and what the API itself asks for."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.project.http_client import RateLimit

_PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
_REMAINING = ("x-ratelimit-remaining", "x-rate-limit-remaining", "ratelimit-remaining")
_RESET = ("x-ratelimit-reset", "x-rate-limit-reset", "ratelimit-reset")
_NUMBER = re.compile(r"[0-9]{1,18}(?:\.[0-9]*)?")
_FIELD = re.compile(r"\b(r|remaining|t|reset)\s*=\s*([0-9]{1,18})(?![0-9])")
_EPOCH_SECONDS = 1e9
"""A reset above this is a moment (in 2001 or later), below it a time to wait (of up to 31 years)."""
_EPOCH_MILLISECONDS = 1e12
_SPREAD_SECONDS = 1.0


class Gate:
    """Lets the requests to one host through, one by one: a token bucket, shut while the host wants a pause.

    The bucket is kept as the time at which the next token falls due (the generic cell rate algorithm): with ``n``
    requests a period and a burst of ``b``, no period sees more than ``n + b``.
    """

    def __init__(self, limit: RateLimit | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._interval = 0.0 if limit is None else _PERIODS[limit.per] / limit.requests
        self._tolerance = 0.0 if limit is None else self._interval * (limit.burst - 1)
        self._due = 0.0
        self._shut_until = 0.0

    @property
    def pause_seconds(self) -> float:
        """How long the host still wants to be left alone."""
        return max(0.0, self._shut_until - self._clock())

    def pause(self, seconds: float) -> None:
        """Let nobody through for so long."""
        self._shut_until = max(self._shut_until, self._clock() + seconds)

    async def enter(self, longest_seconds: float) -> float:
        """Wait for a turn; the seconds it was put off by pauses.

        Raises:
            PausedTooLong: the pauses last longer than ``longest_seconds``; nothing was waited for.
        """
        paused = 0.0
        reserved = self._interval == 0.0
        while True:
            if self._shut_until:
                while (pause := self.pause_seconds) > 0:
                    if paused + pause > longest_seconds:
                        raise PausedTooLong(paused + pause)
                    # all tasks wait for the same moment: let them not come back in one instant
                    spread = random.uniform(0, min(_SPREAD_SECONDS, pause / 10))  # noqa: S311 - no secret
                    await asyncio.sleep(pause + spread)
                    paused += pause
            if reserved:
                return paused
            now = self._clock()
            self._due = max(self._due, now - self._tolerance)
            turn, self._due = self._due, self._due + self._interval
            reserved = True
            if turn <= now:
                return paused
            await asyncio.sleep(turn - now)


class PausedTooLong(Exception):
    """A host wants to be left alone for longer than a request may wait: ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds:.0f} s")
        self.seconds = seconds


def asked_to_wait(status: int, headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """The seconds that an error asks to wait: ``Retry-After``, else the reset of a rate limit that is used up.

    403 is what some APIs answer in place of 429. A reset beside requests that are left is not what the error is about.
    """
    if status not in (403, 429, 503):
        return None
    if (seconds := _retry_after(headers, now)) is not None or status == 503:
        return seconds
    if (seconds := exhausted(headers, now)) is not None:
        return seconds
    limited = "ratelimit" in headers or any(name in headers for name in _REMAINING)
    return _reset(headers, now) if status == 429 and not limited else None


def _retry_after(headers: Mapping[str, str], now: Callable[[], float]) -> float | None:
    """Seconds, or a date (RFC 9110, 10.2.3); beside these what servers send in their place: a moment in seconds or
    milliseconds since 1970, and ``Retry-After-Ms``. What is none of them, such as a negative number, says nothing."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "").strip()
    if (seconds := _number(text)) is not None:
        return _wait(seconds, headers, now)
    return None if (moment := _date(text)) is None else max(0.0, moment - _sent_at(headers, now))


def exhausted(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """The seconds until more requests are granted, when an answer says that none is left.

    Read are ``X-RateLimit-Remaining`` and ``-Reset`` with their spellings, and ``RateLimit`` (the IETF's draft).
    """
    for name in _REMAINING:
        if (value := headers.get(name)) is not None:
            return _reset(headers, now) if value.strip() in ("0", "0.0") else None
    fields = dict(_FIELD.findall(headers.get("ratelimit", "")))
    left, reset = fields.get("r", fields.get("remaining")), fields.get("t", fields.get("reset"))
    return float(reset) if left is not None and int(left) == 0 and reset is not None else None


def _reset(headers: Mapping[str, str], now: Callable[[], float]) -> float | None:
    for name in _RESET:
        if (reset := _number(headers.get(name))) is not None:
            return _wait(reset, headers, now)
    return None


def _wait(number: float, headers: Mapping[str, str], now: Callable[[], float]) -> float:
    """The seconds of a number that is a time to wait, or a moment."""
    if number < _EPOCH_SECONDS:
        return number
    moment = number / 1000 if number >= _EPOCH_MILLISECONDS else number
    return max(0.0, moment - _sent_at(headers, now))


def _number(text: str | None) -> float | None:
    """A number from 0 on; None for anything else."""
    match = _NUMBER.fullmatch(text.strip()) if text else None
    return None if match is None else float(match[0])


def _date(text: str) -> float | None:
    """A date in seconds since 1970; None for anything else."""
    try:
        date = parsedate_to_datetime(text)
        # a date without a zone is one in UTC (RFC 9110, 5.6.7), whatever the clock here says
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _sent_at(headers: Mapping[str, str], now: Callable[[], float]) -> float:
    """The server's clock where it tells it, so that ours need not agree with it."""
    moment = _date(headers.get("date", ""))
    return now() if moment is None else moment
