"""The sample servers over real connections: every pagination, format, limit, way to authenticate, and fault."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from penstock.cli.app import app
from penstock.errors import UsageError
from penstock.samples.conditions import Auth, Conditions, RateLimit
from penstock.samples.fault_rules import parse_faults
from penstock.samples.sample_server import SampleServer

RECORDS = 950


@pytest.fixture(scope="module")
def plain() -> Iterator[str]:
    """A server without faults."""
    with SampleServer.of("cars", records=RECORDS, page_size=100) as server:
        yield server.url


CLIENT = httpx2.Client(timeout=10, verify=False)


def get(url: str, **parameters: Any) -> httpx2.Response:
    """One request."""
    return CLIENT.get(url, params=parameters or None)


def served(faults: str = "", **settings: Any) -> SampleServer:
    """A server under conditions."""
    return SampleServer.of("cars", Conditions(faults=parse_faults([faults]), **settings), records=RECORDS)


def by(way: str, url: str) -> Iterator[list[dict[str, Any]]]:
    """The pages of an endpoint, followed in one of the ways."""
    parameters: dict[str, Any] = {"limit": 100}
    number = 1
    following: Any = f"{url}?limit=100"
    while True:
        if way == "page":
            answer = get(url, **parameters, page=number)
        elif way == "offset":
            answer = get(url, **parameters, offset=(number - 1) * 100)
        elif way in ("next", "link"):
            answer = get(following)
        else:
            answer = get(url, **parameters)
        answer.raise_for_status()
        found = answer.json()
        number += 1
        if not found["data"]:
            return
        yield found["data"]
        if way == "cursor":
            parameters["cursor"] = found["next_cursor"]
        following = found["next"] if way == "next" else answer.links.get("next", {}).get("url")
        if (way == "cursor" and found["next_cursor"] is None) or (way in ("next", "link") and following is None):
            return


@pytest.mark.parametrize("way", ["page", "offset", "cursor", "next", "link"])
def test_every_pagination_gives_all_records(plain: str, way: str) -> None:
    """Each in order, the last page shorter; the same as all at once."""
    pages = list(by(way, f"{plain}/customers"))
    assert [len(p) for p in pages] == [100] * 9 + [50]
    assert [r for p in pages for r in p] == get(f"{plain}/customers", limit="all").json()["data"]


def test_every_format_has_the_same_records(plain: str) -> None:
    """A page, and all at once, as an array, as lines, as CSV with a null as nothing."""
    for limit in ("all", "7"):
        url = f"{plain}/cars"
        expected = get(url, limit=limit).json()["data"]
        assert get(url, limit=limit, format="array").json() == expected
        lines = get(url, limit=limit, format="ndjson").text.splitlines()
        assert [json.loads(line) for line in lines] == expected
        rows = list(csv.DictReader(get(url, limit=limit, format="csv").text.splitlines()))
        plainly = [{k: "" if v is None else str(v) for k, v in r.items() if k != "price"} for r in expected]
        assert [{k: v for k, v in r.items() if k != "price"} for r in rows] == plainly


def test_filters_and_ends(plain: str) -> None:
    """Times choose; past the end a page is empty; what is wrong is a 400 that says what."""
    some = get(f"{plain}/cars", updated_since="2025-11-01", limit="all").json()["data"]
    assert some
    assert {r["updated"] >= "2025-11-01" for r in some} == {True}
    day = get(f"{plain}/subscriptions", **{"from": "2025-03-01", "to": "2025-03-31"}, limit="all").json()["data"]
    assert {r["created"][:7] for r in day} == {"2025-03"}
    before = get(f"{plain}/cars", as_of="2024-06-30", limit=1).json()["total"]
    assert 0 < before < RECORDS
    assert get(f"{plain}/cars", page=11).json()["data"] == []
    assert get(f"{plain}/cars/1/changes").json()["data"][0]["id"] == 1
    for wrong in ({"limit": "0"}, {"page": "x"}, {"cursor": "?"}, {"updated_since": "soon"}, {"format": "xml"}):
        answer = get(f"{plain}/cars", **wrong)
        assert (answer.status_code, list(answer.json())) == (400, ["error"])
    with SampleServer.of("cars", records=100, missing=True) as server:
        assert get(f"{server.url}/cars", page=2).status_code == 404


def test_authentication() -> None:
    """Each way lets in who has the secret, and answers 401 to others; a token expires."""
    ways: list[tuple[str, dict[str, Any]]] = [
        ("bearer:let-me-in", {"headers": {"authorization": "Bearer let-me-in"}}),
        ("basic:ada:let-me-in", {"auth": ("ada", "let-me-in")}),
        ("header:X-Api-Key:let-me-in", {"headers": {"x-api-key": "let-me-in"}}),
        ("query:key:let-me-in", {"params": {"key": "let-me-in"}}),
    ]
    for text, given in ways:
        with served(auth=Auth.parse(text)) as server:
            assert get(f"{server.url}/cars").status_code == 401
            assert CLIENT.get(f"{server.url}/cars", **given).status_code == 200
            assert CLIENT.get(f"{server.url}/cars", **_wrong(given)).status_code == 401
        assert "let-me-in" not in repr(Auth.parse(text))
    with pytest.raises(UsageError, match="no way to authenticate") as raised:
        Auth.parse("magic")
    assert "*" not in raised.value.fix


def _wrong(given: dict[str, Any]) -> dict[str, Any]:
    """The same with another secret."""
    wrong: dict[str, Any] = json.loads(json.dumps(given).replace("let-me-in", "let-me-out"))
    return {k: tuple(v) if isinstance(v, list) else v for k, v in wrong.items()}


def test_tokens_expire() -> None:
    """OAuth 2: a token lets in until its time is up, or until the server forgets it."""
    with served("expire@3", auth=Auth.parse("oauth2:client:let-me-in:1")) as server:
        url = f"{server.url}/cars"
        form = {"grant_type": "client_credentials", "client_id": "client", "client_secret": "let-me-in"}
        assert CLIENT.post(f"{server.url}/oauth/token", data={**form, "client_secret": "x"}).status_code == 401

        def token() -> dict[str, str]:
            granted = CLIENT.post(f"{server.url}/oauth/token", data=form).json()
            assert granted["expires_in"] == 1
            return {"authorization": f"Bearer {granted['access_token']}"}

        first = token()
        assert [CLIENT.get(url, headers=first).status_code for _ in range(3)] == [200, 200, 401]
        second = token()
        assert CLIENT.get(url, headers=second).status_code == 200
        time.sleep(1.1)
        assert CLIENT.get(url, headers=second).status_code == 401


def test_rate_limit() -> None:
    """So many a second are answered; then 429 says how long to wait, and after that it goes on."""
    with served(rate_limit=RateLimit.parse("3/s")) as server:
        answers = [get(f"{server.url}/cars") for _ in range(5)]
        codes = [a.status_code for a in answers]
        assert codes[:3] == [200] * 3
        assert 429 in codes
        refused = answers[codes.index(429)]
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["x-ratelimit-remaining"] == "0"
        time.sleep(1.05)
        assert get(f"{server.url}/cars").status_code == 200
    for wrong in ("fast", "0/s", "3/d"):
        with pytest.raises(UsageError, match="is no rate"):
            RateLimit.parse(wrong)


def test_faults_of_an_answer() -> None:
    """Each strikes where it should, and asking again is fine."""
    with served("500@1,429@2,html@3,truncate@4,cut@5,reset@6,404@7-8") as server, httpx2.Client(verify=False) as client:
        url = f"{server.url}/cars"
        assert client.get(url).status_code == 500
        refused = client.get(url)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        page = client.get(url)
        assert (page.status_code, page.headers["content-type"][:9]) == (200, "text/html")
        cut = client.get(url)
        assert cut.status_code == 200
        with pytest.raises(json.JSONDecodeError):
            cut.json()
        with pytest.raises(httpx2.RemoteProtocolError):
            client.get(url)
        with pytest.raises(httpx2.ReadError):
            client.get(url)
        assert [client.get(url).status_code for _ in range(3)] == [404, 404, 200]


def test_stall_and_delay() -> None:
    """A stalled answer never ends, and stopping the server is not held up by it; a delayed one comes later."""
    server = served("stall@1", delay_seconds=0.2)
    with httpx2.Client(timeout=0.5, verify=False) as client:
        with pytest.raises(httpx2.ReadTimeout):
            client.get(f"{server.url}/cars")
        began = time.monotonic()
        assert client.get(f"{server.url}/cars").status_code == 200
        assert time.monotonic() - began >= 0.2
    server.stop()


def test_faults_of_paging() -> None:
    """A page twice and two pages in the other's place lose no record; a page that repeats has no end."""
    with served() as server:
        whole = sorted(json.dumps(r) for p in by("page", f"{server.url}/cars") for r in p)
    for way in ("page", "offset", "cursor", "link"):
        with served("duplicate@3,reorder@5") as server:
            pages = list(by(way, f"{server.url}/cars"))
            assert len(pages) == 11
            assert pages[2] == pages[3]
            assert sorted(json.dumps(r) for p in (*pages[:3], *pages[4:]) for r in p) == whole
    with served("repeat@2") as server:
        pages = [page for page, _ in zip(by("cursor", f"{server.url}/cars"), range(30), strict=False)]
        assert len(pages) == 30
        assert pages[1] == pages[29]


def test_gzip() -> None:
    """Those who accept it get less."""
    with served(gzip=True) as server:
        answer = CLIENT.get(f"{server.url}/cars", headers={"accept-encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        assert len(answer.json()["data"]) == 100


def test_command() -> None:
    """The command prints where it answers, answers there, and ends on Ctrl-C."""
    command = [sys.executable, "-m", "penstock", "serve-sample", "cars", "--records", "30", "--as-of", "2024-06-30"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name, _, url = process.stdout.readline().strip().partition(": ")
        assert name == "cars"
        assert 0 < get(f"{url}/cars").json()["total"] < 30
        process.send_signal(signal.SIGINT)
        assert process.wait(15) in (0, 130)
    for wrong in (["planes"], ["cars", "--faults", "oops"], ["cars", "--as-of", "soon"]):
        outcome = CliRunner().invoke(app, ["serve-sample", *wrong])
        assert isinstance(outcome.exception, UsageError)
        assert outcome.exception.fix


def test_without_its_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what is missing, and the command that installs it."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UsageError, match="need uvicorn") as caught:
        SampleServer.of("cars")
    assert caught.value.fix == 'pip install "penstock-elt[examples]"'
