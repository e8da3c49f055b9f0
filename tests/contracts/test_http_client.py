"""The HTTP client: bodies come whole or not at all, and what fails is tried again, at the right time."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import json
import resource
import time
import zlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, TypeVar

import brotli
import pytest
import zstandard
from typer.testing import CliRunner

from penstock.cli.app import app
from penstock.doctor.status import read_status
from penstock.errors import SourceError
from penstock.logs import captured
from penstock.project import load_project
from penstock.project.http_client import HttpConnection
from penstock.sources.http.client import Client
from penstock.sources.http.responses import Answer, Request
from penstock.sources.http.standing import keep_standing
from penstock.testing.proxy import Proxy
from tests.support.apis import Api, Asked, Raw, head, reply

T = TypeVar("T")
BODY = json.dumps({"results": [{"id": i, "name": "n" * 50} for i in range(2000)]}).encode()
QUICK = {"attempts": 4, "first_wait_seconds": 0.01, "longest_wait_seconds": 0.05}


def within(base_url: str, use: Callable[[Client], Awaitable[T]], *, concurrency: int = 8, **settings: Any) -> T:
    """What ``use`` makes of a client."""
    found = HttpConnection.model_validate({"base_url": base_url, "retries": QUICK, **settings})

    async def run() -> T:
        async with Client(found, name="api", concurrency=concurrency) as client:
            return await use(client)

    return asyncio.run(run())


def read(base_url: str, request: Request | str = "items", **settings: Any) -> bytes:
    """The body of one page."""
    asked = Request(url=request) if isinstance(request, str) else request
    return within(base_url, lambda c: c.read(asked), **settings).body


def in_turn(*replies: Raw) -> Callable[[Asked], Raw]:
    """Each answer once, then a right one for ever."""
    waiting = list(replies)
    return lambda _: waiting.pop(0) if waiting else reply(BODY)


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n", **headers: Any) -> bytes:
    """A body in chunks."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces)
    return head(transfer_encoding="chunked", **headers) + body + end


def test_request_and_page() -> None:
    """A path goes below the base URL; parameters and headers of settings and request arrive, the request's first."""
    with Api(lambda _: reply(b"{}", etag="x")) as api:
        settings: dict[str, Any] = {
            "params": {"limit": 100, "page": 1},
            "headers": {"X-Team": "blue", "Accept": "text/csv"},
        }
        params = {"page": 7, "tags": ["a", "b&c"], "gone": None, "all": True}
        request = Request(url="/cars?sort=id", params=params, headers={"accept": "application/json"})
        page = within(f"{api.url}/v1/", lambda c: c.read(request), **settings)
        (asked,) = api.asked
        assert asked.target == "/v1/cars?sort=id&limit=100&page=7&tags=a&tags=b%26c&all=true"
        assert (asked.headers["x-team"], asked.headers["accept"]) == ("blue", "application/json")
        assert (page.status, page.body, page.headers["ETag"]) == (200, b"{}", "x")
        assert page.url == api.url + asked.target
        read(f"{api.url}/v1", page.url, **settings)
        assert api.asked[1].target == asked.target  # a link that has them already
        read(api.url, Request(url="q", method="POST", json={"a": 1}))
        assert (api.asked[2].method, json.loads(api.asked[2].body)) == ("POST", {"a": 1})


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


_BROTLI = brotli.compress(BODY, quality=5)  # the best takes a hundred times as long, each time tests are collected
ENCODED = {
    "gzip": gzip.compress(BODY, mtime=0),
    "x-gzip": gzip.compress(BODY[:1000], mtime=0) + gzip.compress(BODY[1000:], mtime=0) + b"\0\0",
    "deflate": zlib.compress(BODY),
    "Deflate": _deflate(BODY),
    "br": _BROTLI,
    "zstd": zstandard.compress(BODY[:50_000]) + zstandard.compress(BODY[50_000:]),
    "br, gzip": gzip.compress(_BROTLI, mtime=0),
    "identity": BODY,
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_encodings(encoding: str) -> None:
    """A body is the same however it is compressed and cut."""
    data = ENCODED[encoding]
    pieces = [data[i : i + 777] for i in range(0, len(data), 777)]
    replies = [reply(data, content_encoding=encoding), Raw(data=chunked(*pieces, content_encoding=encoding))]
    with Api(in_turn(*replies)) as api:
        assert [read(api.url) for _ in replies] == [BODY, BODY]
        assert api.asked[0].headers["accept-encoding"] == "gzip, deflate, br, zstd"


def test_empty_bodies() -> None:
    """Nothing is nothing, whatever it says of its encoding."""
    with Api(in_turn(reply(b"", content_encoding="gzip"), Raw(data=head(204)))) as api:
        assert [read(api.url) for _ in range(2)] == [b"", b""]


_HALF = {name: data[: len(data) // 2] for name, data in ENCODED.items()}
BROKEN = {
    "nothing": Raw(data=b"", then="close"),
    "reset at once": Raw(data=b"", then="reset"),
    "half a head": Raw(data=head(content_length="10")[:20], then="close"),
    "no HTTP": Raw(data=b"SSH-2.0-OpenSSH_9.6\r\n", then="close"),
    "shorter than it says": Raw(data=head(content_length=str(len(BODY))) + BODY[:-1], then="close"),
    "reset in the body": Raw(data=head(content_length=str(len(BODY))) + BODY[:70_000], then="reset"),
    "stalled in the body": Raw(data=head(content_length=str(len(BODY))) + BODY[:70_000], then="stall"),
    "stalled before it": Raw(data=b"", then="stall"),
    "no last chunk": Raw(data=chunked(BODY, end=b""), then="close"),
    "garbage for a chunk": Raw(data=chunked(BODY[:1000], end=b"zz\r\nwhat"), then="close"),
    "half a gzip": reply(_HALF["gzip"], content_encoding="gzip"),
    "half a deflate": reply(_HALF["deflate"], content_encoding="deflate"),
    "half a brotli": reply(_HALF["br"], content_encoding="br"),
    "half a zstd": reply(_HALF["zstd"], content_encoding="zstd"),
    "bad gzip": reply(b"\x1f\x8b\x08 this is not gzip", content_encoding="gzip"),
    "gzip that is none": reply(b"{}", content_encoding="gzip"),
    "bad checksum": reply(ENCODED["gzip"][:-8] + b"12345678", content_encoding="gzip"),
    "500": reply("oops", 500),
    "502": reply("<html>bad gateway", 502),
    "503": reply("", 503),
    "429": reply("slow down", 429),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_faults(fault: str) -> None:
    """Twice broken, the third time right: the body comes whole."""
    with Api(in_turn(BROKEN[fault], BROKEN[fault])) as api:
        assert read(api.url, timeouts={"read_seconds": 0.3}) == BODY
        assert len(api.asked) == 3


@pytest.mark.parametrize("fault", ["shorter than it says", "half a gzip", "500", "429"])
def test_faults_that_stay(fault: str) -> None:
    """After its attempts a request is a SourceError that says what was asked, how often, and what to do."""
    with Api(lambda _: BROKEN[fault]) as api:
        with pytest.raises(SourceError, match=r"GET http://.*/items.*\(the last of 4 attempts\)") as e:
            read(api.url)
        assert len(api.asked) == 4
        assert e.value.exit_code == 4 and e.value.fix and e.value.where == "source api"


def test_waits_between_attempts() -> None:
    """Each further attempt is logged before its wait, which doubles, is up to the first wait longer, and has an end."""
    retries = {"attempts": 5, "first_wait_seconds": 0.02, "longest_wait_seconds": 0.1}
    with Api(lambda _: reply("", 500)) as api, captured() as events, pytest.raises(SourceError):
        read(api.url, retries=retries)
    again = [event for event in events if event["event"] == "asking again"]
    assert [event["attempt"] for event in again] == [2, 3, 4, 5]
    waits = [event["again_in_seconds"] for event in again]
    longest = [(0.02, 0.04), (0.04, 0.06), (0.08, 0.1), (0.1, 0.1)]
    assert all(low <= wait <= high for wait, (low, high) in zip(waits, longest, strict=True))


def test_nobody_listens() -> None:
    """No connection is tried again too, and named."""
    with Api(lambda _: reply()) as api:
        url = api.url
    with pytest.raises(SourceError, match=r"the last of 4 attempts"):
        read(url)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 422])
def test_refusals(status: int) -> None:
    """What is refused is not asked again; the error has the beginning of the answer. A status may be accepted."""
    with Api(lambda _: reply(f"no such thing\nas {'y' * 5000}", status)) as api:
        with pytest.raises(SourceError) as e:
            read(api.url)
        assert len(api.asked) == 1
        assert f"GET {api.url}/items gave status {status}: no such thing as yyy" in e.value.what
        assert len(e.value.what) < 500 and e.value.fix
        page = within(api.url, lambda c: c.read(Request(url="x", accept=frozenset({status}))))
        assert page.status == status


def test_bodies_are_streamed() -> None:
    """A gigabyte comes in small pieces, and memory stays small."""
    packer = zlib.compressobj(1, wbits=31)
    piece = packer.compress(bytes(1 << 24))
    for _ in range(63):
        piece += packer.compress(bytes(1 << 24))
    packed = piece + packer.flush()

    async def count(client: Client) -> tuple[int, int]:
        size = largest = 0
        async with client.fetch(Request(url="big")) as answer:
            async for chunk in answer.chunks():
                size, largest = size + len(chunk), max(largest, len(chunk))
        return size, largest

    with Api(lambda _: reply(packed, content_encoding="gzip")) as api:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        size, largest = within(api.url, count)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert size == 1 << 30 and largest <= 1 << 20
    assert grown < 60_000  # KiB


def test_a_stream_begins_again() -> None:
    """A body that breaks off in a network's way is taken in again from its start."""
    data = bytes(range(256)) * 40_000
    with Api(lambda _: reply(data)) as api, Proxy("127.0.0.1", api.port) as proxy:
        begun = 0

        async def take(answer: Answer) -> bytes:
            nonlocal begun
            begun += 1
            found = b""
            async for chunk in answer.chunks():
                found += chunk
                if begun < 3:
                    await asyncio.to_thread(proxy.reset if begun == 1 else proxy.cut)
            return found

        found = within(proxy.url_of(api.url), lambda c: c.consume(Request(url="big"), take))
        assert found == data and begun == 3


def test_fetch_does_not_hide_a_broken_body() -> None:
    """Half a body that was handed on is not fetched again behind one's back."""

    async def use(client: Client) -> None:
        async with client.fetch(Request(url="x")) as answer:
            async for _ in answer.chunks():
                pass

    with Api(lambda _: BROKEN["shorter than it says"]) as api:
        with pytest.raises(SourceError, match="GET "):
            within(api.url, use)
        assert len(api.asked) == 1


@pytest.mark.parametrize("dated", [False, True])
def test_retry_after(dated: bool) -> None:
    """Seconds and dates are obeyed, by all tasks; these waits are no attempts. The date is by the server's clock."""
    clock = datetime(2001, 1, 1, tzinfo=UTC)
    later = format_datetime(clock + timedelta(seconds=1), usegmt=True)
    wait = {"retry_after": later, "date": format_datetime(clock, usegmt=True)} if dated else {"retry_after": "1"}
    throttled = [reply("", 429, **wait), reply("", 503, **wait)]
    with Api(in_turn(*throttled)) as api:

        async def use(client: Client) -> None:
            await client.read(Request(url="first"))
            await asyncio.gather(*(client.read(Request(url="x")) for _ in range(3)))

        within(api.url, use, retries={**QUICK, "attempts": 1})
        first, second, third, *others = (a.at for a in api.asked)
        assert second - first >= 0.95 and third - second >= 0.95
        assert len(others) == 3


def test_exhausted_quota() -> None:
    """When an answer says that nothing is left, no task asks before the reset."""
    quota = reply(BODY, x_ratelimit_remaining="0", x_ratelimit_reset="1")
    with Api(in_turn(quota)) as api:

        async def use(client: Client) -> None:
            await client.read(Request(url="first"))
            await asyncio.gather(*(client.read(Request(url="x")) for _ in range(3)))

        within(api.url, use)
        assert all(a.at - api.asked[0].at >= 0.95 for a in api.asked[1:])


def test_throttled_for_too_long() -> None:
    """An API that asks for more patience than the settings have ends the run at once, and says how long."""
    with Api(lambda _: reply("", 429, retry_after="3600")) as api:
        with pytest.raises(SourceError, match=r"would have to wait 3600 s.*at most 600 s"):
            read(api.url)
        assert len(api.asked) == 1


def test_endless_throttling() -> None:
    """However short the waits that are asked for, in all they are limited."""
    with Api(lambda _: reply("", 429, retry_after="0")) as api:
        with pytest.raises(SourceError, match="would have to wait"):
            read(api.url, retries={**QUICK, "throttled_seconds": 1})
        assert len(api.asked) == 4  # 0.1, 0.2, 0.4 s, and 0.8 s were too much


def test_declared_rate() -> None:
    """All tasks together send no more than the project declares."""
    with Api(lambda _: reply(BODY)) as api:

        async def use(client: Client) -> None:
            await asyncio.gather(*(client.read(Request(url=str(i))) for i in range(16)))

        within(api.url, use, rate_limit={"requests": 1200, "per": "minute"})
        times = sorted(a.at for a in api.asked)
        assert times[-1] - times[0] >= 15 / 20 - 0.05


def test_connections_are_kept() -> None:
    """No more connections than tasks, and each is used again, also after an error."""
    with Api(lambda a: reply(BODY) if int(a.path[1:]) % 5 else reply("no", 404)) as api:

        async def use(client: Client) -> None:
            accept = frozenset({404})
            await asyncio.gather(*(client.read(Request(url=str(i), accept=accept)) for i in range(40)))
            for _ in range(3):
                with contextlib.suppress(SourceError):
                    await client.read(Request(url="0"))

        within(api.url, use, concurrency=3)
        assert api.connections == 3


def test_run_time() -> None:
    """The time of a run ends it wherever it is: in a request, a body or a wait."""
    stalls = [BROKEN["stalled in the body"], reply("", 429, retry_after="60"), BROKEN["stalled before it"]]
    for raw in stalls:
        with Api(lambda _, raw=raw: raw) as api:  # type: ignore[misc]
            begun = time.monotonic()
            with pytest.raises(SourceError, match=r"the run's time of 0\.3 s was over at GET http"):
                read(api.url, timeouts={"run_seconds": 0.3})
            assert time.monotonic() - begun < 30


def test_run_time_while_streaming() -> None:
    """It is over for the body, not for whoever is busy with what came of it."""

    async def use(client: Client) -> int:
        size = 0
        async with client.fetch(Request(url="x")) as answer:
            with pytest.raises(SourceError, match=r"the run's time of 0\.5 s"):
                async for chunk in answer.chunks():
                    size += len(chunk)
                    await asyncio.sleep(0.6)
            await asyncio.sleep(0.1)
        return size

    with Api(lambda _: BROKEN["stalled in the body"]) as api:
        assert within(api.url, use, timeouts={"run_seconds": 0.5}) > 0


def test_cancelled() -> None:
    """Requests that are cancelled leave no trace: the next ones find connections, and the breaker closed."""
    slow = True

    async def use(client: Client) -> bytes:
        nonlocal slow
        for _ in range(3):
            tasks = [asyncio.create_task(client.read(Request(url="x"))) for _ in range(4)]
            await asyncio.sleep(0.1)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        slow = False
        assert {b.state for b in client.breakers().values()} == {"closed"}
        return (await client.read(Request(url="x"))).body

    with Api(lambda _: BROKEN["stalled in the body"] if slow else reply(BODY)) as api:
        assert within(api.url, use, concurrency=2, breaker={"failures": 1}) == BODY


def test_breaker() -> None:
    """After so many failures in a row a host is left alone; then one request tries, and all go on when it succeeds."""
    states: list[str] = []
    down = True

    def answer(asked: Asked) -> Raw:
        return reply("down", 500, x_n=str(asked.at)) if down else reply(BODY)

    async def use(client: Client) -> list[bytes]:
        nonlocal down
        tasks = [asyncio.create_task(client.read(Request(url=str(i)))) for i in range(6)]
        while "half-open" not in states:
            await asyncio.sleep(0.01)
        down = False
        return [page.body for page in await asyncio.gather(*tasks)]

    settings = {"base_url": "", "retries": {**QUICK, "attempts": 9}, "breaker": {"failures": 7, "open_seconds": 0.5}}
    with Api(answer) as api:
        found = HttpConnection.model_validate({**settings, "base_url": api.url})

        async def run() -> list[bytes]:
            async with Client(
                found, name="api", standing=lambda b: states.extend(x.state for x in b.values())
            ) as client:
                assert not client.breakers()
                bodies = await use(client)
                assert {h: b.state for h, b in client.breakers().items()} == {api.url: "closed"}
                return bodies

        assert asyncio.run(run()) == [BODY] * 6
        times = [a.at for a in api.asked]
        sent = next(i for i, (a, b) in enumerate(itertools.pairwise(times), 1) if b - a >= 0.4)
        assert 7 <= sent <= 12  # those in flight when it opened still came
        assert states[:2] == ["open", "half-open"] and states[-1] == "closed"


def test_a_probe_that_is_cancelled() -> None:
    """The next request is the probe then; nobody waits for one that is gone."""
    replies = [reply("down", 500), BROKEN["stalled before it"]]

    async def use(client: Client) -> bytes:
        with pytest.raises(SourceError):
            await client.read(Request(url="x"))
        await asyncio.sleep(0.1)
        probe = asyncio.create_task(client.read(Request(url="x")))
        while replies:
            await asyncio.sleep(0.01)
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        async with asyncio.timeout(60):
            return (await client.read(Request(url="x"))).body

    settings: dict[str, Any] = {"retries": {"attempts": 1}, "breaker": {"failures": 1, "open_seconds": 0.1}}
    with Api(lambda _: replies.pop(0) if replies else reply(BODY)) as api:
        assert within(api.url, use, **settings) == BODY


def test_breaker_that_stays_open() -> None:
    """A host that stays down is asked now and then; the error says that it was left alone."""
    with Api(lambda _: reply("down", 500)) as api:
        with pytest.raises(SourceError, match=r"status 500|failed \d+ times in a row"):
            read(api.url, retries={**QUICK, "attempts": 6}, breaker={"failures": 2, "open_seconds": 0.2})
        assert 3 <= len(api.asked) <= 6


def test_status_shows_hosts(tmp_path: Path) -> None:
    """``penstock status`` shows how a source's hosts stood when last seen, also after the run has ended."""
    (tmp_path / "penstock.yml").write_text(
        "name: p\ndestinations: {w: {type: duckdb, path: w.duckdb}}\n"
        "sources: {api: {type: files, path: data}}\nstreams: {s: {from: api}}\n"
    )
    project = load_project(tmp_path)
    assert read_status(project)["hosts"] == []
    with Api(lambda _: reply("down", 500)) as api:
        found = HttpConnection.model_validate(
            {"base_url": api.url, "retries": {**QUICK, "attempts": 2}, "breaker": {"failures": 2, "open_seconds": 60}}
        )

        async def run() -> None:
            async with Client(found, name="api", standing=keep_standing(tmp_path, "api")) as client:
                await client.read(Request(url="x"))

        with pytest.raises(SourceError):
            asyncio.run(run())
        (host,) = read_status(project)["hosts"]
        assert (host["source"], host["host"], host["breaker"], host["failures"]) == ("api", api.url, "open", 2)
        assert timedelta() < host["tries_again_at"] - host["as_of"] <= timedelta(seconds=60)
        shown = CliRunner().invoke(app, ["status", "--project-dir", str(tmp_path)])
        assert shown.exit_code == 0 and api.url in shown.output and "open" in shown.output
    (tmp_path / ".penstock" / "hosts" / "api.json").write_text("what")
    assert read_status(project)["hosts"] == []
