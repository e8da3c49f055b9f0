"""When an HTTP request may be sent: what servers ask for, the declared rate, and the circuit breaker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import httpx2
import pytest

from penstock.compression import BrokenEncoding, decoder_of
from penstock.project.http_client import RateLimit
from penstock.sources.http.breaker import CircuitBreaker, CircuitOpen
from penstock.sources.http.limits import Gate, PausedTooLong, asked_to_wait, exhausted
from penstock.sources.http.secrets import Secrets, is_secret

NOW = 1_700_000_000.0
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
"""The same moment."""
LATER = "Tue, 14 Nov 2023 22:13:50 GMT"


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"Retry-After": "7"}, 7),
        (429, {"Retry-After": " 1.5 "}, 1.5),
        (503, {"Retry-After": LATER}, 30),
        (503, {"Retry-After": LATER, "Date": "Tue, 14 Nov 2023 22:13:45 GMT"}, 5),
        (429, {"Retry-After": "Mon, 13 Nov 2023 22:13:20 GMT"}, 0),
        (429, {"Retry-After": "soon"}, None),
        (429, {"Retry-After": "-5"}, None),
        (429, {"Retry-After": "0"}, 0),
        (429, {"Retry-After": "1700000012"}, 12),
        (503, {"Retry-After": "1700000012345"}, 12.345),
        (429, {"Retry-After": "1700000012", "Date": "Tue, 14 Nov 2023 22:13:25 GMT"}, 7),
        (429, {"Retry-After": "1600000000"}, 0),
        (429, {"Retry-After-Ms": "1500", "Retry-After": "2"}, 1.5),
        (429, {"Retry-After": "Tue, 14 Nov 2023 22:13:50"}, 30),
        (429, {"Retry-After": "Tuesday, 14-Nov-23 22:13:50 GMT"}, 30),
        (429, {"Retry-After": "Fri, 31 Feb 2023 22:13:50 GMT"}, None),
        (429, {"Retry-After": "nan"}, None),
        (429, {"Retry-After": "1e9"}, None),
        (429, {"Retry-After": "9" * 5_000}, None),
        (429, {"Retry-After": "7, 7"}, None),
        (429, {"Retry-After": "7", "Date": "yesterday"}, 7),
        (429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "inf"}, None),
        (429, {"RateLimit": f"remaining={'0' * 5_000}, reset=31"}, None),
        (429, {}, None),
        (500, {"Retry-After": "7"}, None),
        (429, {"X-RateLimit-Reset": "12"}, 12),
        (429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1700000012"}, 12),
        (429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1700000012345"}, 12.345),
        (429, {"X-RateLimit-Remaining": "12", "X-RateLimit-Reset": "3000"}, None),
        (503, {"X-RateLimit-Remaining": "4999", "X-RateLimit-Reset": "1700003600"}, None),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1700000060"}, 60),
        (403, {"X-RateLimit-Remaining": "9", "X-RateLimit-Reset": "1700000060"}, None),
        (403, {"Retry-After": "60"}, 60),
        (403, {}, None),
        (429, {"RateLimit": '"default";r=0;t=30'}, 30),
        (429, {"RateLimit": "limit=100, remaining=0, reset=31"}, 31),
    ],
)
def test_asked_to_wait(status: int, headers: Mapping[str, str], seconds: float | None) -> None:
    """Each way of asking for patience; a reset beside requests that are left asks for none."""
    found = asked_to_wait(status, httpx2.Headers(headers), lambda: NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"}, 30),
        ({"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "1700000009", "Date": DATE}, 9),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "8"}, 8),
        ({"RateLimit-Remaining": "1", "RateLimit-Reset": "8"}, None),
        ({"RateLimit": '"burst";r=0;t=5', "RateLimit-Policy": '"burst";q=100;w=60'}, 5),
        ({"RateLimit": '"burst";r=3;t=5'}, None),
        ({"X-RateLimit-Remaining": "0"}, None),
        ({"X-RateLimit-Reset": "9"}, None),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "tomorrow"}, None),
        ({}, None),
    ],
)
def test_exhausted(headers: Mapping[str, str], seconds: float | None) -> None:
    """What an answer says of the requests that are left."""
    assert exhausted(httpx2.Headers(headers), lambda: NOW) == seconds


def test_rate_and_burst() -> None:
    """After a rest a burst goes at once; all else is spread evenly, over all tasks."""

    async def run() -> list[float]:
        gate = Gate(RateLimit(requests=20, per="second", burst=5))
        times: list[float] = []

        async def task() -> None:
            for _ in range(3):
                await gate.enter(60)
                times.append(time.monotonic())

        await asyncio.gather(*(task() for _ in range(5)))
        return times

    times = sorted(asyncio.run(run()))
    assert times[4] - times[0] < times[14] - times[4]
    assert times[14] - times[0] >= 10 / 20 - 0.02


def test_a_pause_that_is_too_long() -> None:
    """It is told before, not waited for; one that is short enough is waited for and counted."""

    async def run() -> float:
        gate = Gate(None)
        gate.pause(100)
        with pytest.raises(PausedTooLong) as e:
            await gate.enter(99)
        assert e.value.seconds == pytest.approx(100, abs=5)
        gate = Gate(None)
        gate.pause(0.1)
        gate.pause(0.05)
        return await gate.enter(1)

    assert asyncio.run(run()) == pytest.approx(0.1, abs=0.05)


class Clock:
    """Tells the time that a test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_breaker_states() -> None:
    """Failures in a row open it; time half-opens it; the probe decides. What is in flight meanwhile changes nothing."""

    async def run() -> None:
        clock, states = Clock(), []
        breaker = CircuitBreaker(failures=2, open_seconds=10, clock=clock, changed=lambda: states.append(breaker.state))
        assert await breaker.enter() is None
        breaker.failed(None)
        breaker.succeeded()
        breaker.failed(None)
        assert not states
        breaker.failed(None)
        breaker.failed(None)
        breaker.answered(None)
        breaker.succeeded()
        assert (breaker.state, breaker.failures, breaker.open_seconds) == ("open", 2, 10)
        clock.now = 9
        with pytest.raises(CircuitOpen, match="another 1 s"):
            await breaker.enter()
        clock.now = 10
        probe = await breaker.enter()
        assert probe is not None
        breaker.failed(None)
        assert states == ["open", "half-open"]
        breaker.failed(probe)
        breaker.left(probe)
        assert (breaker.state, breaker.open_seconds) == ("open", 10)
        clock.now = 20
        probe = await breaker.enter()
        breaker.answered(probe)
        breaker.failed(probe)  # a broken body, later
        breaker.left(probe)
        assert (breaker.state, breaker.failures) == ("closed", 1)
        assert states == ["open", "half-open", "open", "half-open", "closed"]

    asyncio.run(run())


def test_one_probe_at_a_time() -> None:
    """While one request tries, the others wait; when it is cancelled, the next one tries."""

    async def run() -> None:
        clock = Clock()
        breaker = CircuitBreaker(failures=1, open_seconds=1, clock=clock)
        breaker.failed(None)
        clock.now = 1
        first = await breaker.enter()
        others = [asyncio.create_task(breaker.enter()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(t.done() for t in others)
        breaker.left(first)
        await asyncio.sleep(0.01)
        (second,) = [t.result() for t in others if t.done()]
        breaker.answered(second)
        assert [await t for t in others].count(None) == 2

    asyncio.run(run())


@pytest.mark.parametrize("encoding", ["compress", "gzip, sdch"])
def test_unknown_encodings(encoding: str) -> None:
    """What was not asked for is named."""
    with pytest.raises(BrokenEncoding, match=r"compress|sdch"):
        decoder_of(encoding)


def test_nothing_to_decode() -> None:
    """Identity is none."""
    assert decoder_of("") is None and decoder_of(" identity ") is None


@pytest.mark.parametrize("name", ["Authorization", "X-Auth", "apikey", "X-API-Key", "key", "sig", "a_token", "Cookie"])
def test_names_of_secrets(name: str) -> None:
    """Names that mostly hold one."""
    assert is_secret(name)


@pytest.mark.parametrize("name", ["author", "authors", "keyword", "key_id", "signed", "page", "Accept"])
def test_names_of_no_secrets(name: str) -> None:
    """Names that only look like it."""
    assert not is_secret(name)


def test_masked_addresses() -> None:
    """By the parameter's name, by a known value however it is written, and without user and password."""
    secrets = Secrets(["p@ss word"], parameters=["K"])
    shown = secrets.mask_url(
        "http://ann:pw@h:1/p%40ss%20word?k=1&page=2&x=p%40ss+word&X-Amz-Signature=ab&a_token=&flag"
    )
    assert shown == "http://h:1/*****?k=*****&page=2&x=*****&X-Amz-Signature=*****&a_token=*****&flag"
    assert secrets.mask('{"a": "p@ss word"}') == '{"a": "*****"}'
