"""Each kind of bad answer has its outcome, and what landed before it stays."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from penstock.errors import SourceError
from penstock.ports import Destination
from tests.support.api import Api, Asked, Said, said
from tests.support.fetching import fetch, ids
from tests.support.fixtures import whichever as destination
from tests.support.warehouse import ledger, quarantined

__all__ = ["destination"]  # a fixture

PAGES = {"records": "data", "pagination": "page"}
HTML = b"<!DOCTYPE html>\n<html><head><title>Sign  in\nplease</title></head><body>&hellip;</body></html>"


def page(asked: Asked, *, last: int = 4) -> Said:
    """Ten records a page."""
    first = 10 * asked.page() - 10
    return said({"data": [{"id": first + n} for n in range(10)] if asked.page() <= last else []})


class Bad:
    """Pages of which the third is bad, always or for the first time only."""

    def __init__(self, bad: Said, *, times: int = 1_000) -> None:
        self.bad = bad
        self.times = times

    def __call__(self, asked: Asked) -> Said:
        if asked.page() == 3 and self.times:
            self.times -= 1
            return self.bad
        return page(asked)


WHOLE = json.dumps({"data": [{"id": n} for n in range(20, 30)]}).encode()
BAD: dict[str, tuple[Said, str]] = {
    "web page": (Said(body=HTML, headers={"content-type": "text/html"}), "a web page, not JSON: Sign in please"),
    "truncated in the list": (Said(body=WHOLE[:60]), "ends in the middle of its records"),
    "truncated behind the list": (Said(body=WHOLE[:-1]), "ends too early"),
    "empty": (Said(body=b""), "the answer is empty"),
    "no JSON": (Said(body=b"Service unavailable"), "is not JSON"),
    "several values": (Said(body=WHOLE + WHOLE), "several JSON values"),
    "error object": (
        said({"error": {"code": 7, "message": "quota"}}),
        r'has error, and says: {"code": 7, "message": "q',
    ),
    "records missing": (said({"items": [], "next": 1}), "nothing at data; the answer has items, next"),
    "records are a text": (said({"data": "none"}), "data is a text, neither a list nor an object"),
    "list instead": (said([1, 2]), "nothing at data; the answer is a list"),
    "connection cut": (Said(body=WHOLE, fault="cut"), "GET .*page=3"),
    "connection reset": (Said(fault="reset"), "GET .*page=3"),
    "server error": (Said(status=503), "status 503"),
    "refused": (Said(status=403, body=b"not yours"), "status 403: not yours"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_page_stops_no_other(local: Destination, kind: str) -> None:
    """The pages before and behind it land, the failure says page and reason, and the next load goes on at that page."""
    bad, reason = BAD[kind]
    with Api(Bad(bad)) as api:
        (failure,) = fetch(local, api, PAGES).failures
        assert re.search(reason, str(failure))
        assert "page=3" in str(failure)
        assert failure.fix
        assert ids(local) == [*range(20), *range(30, 40)]
        api.answer = page
        before = len(api.asked)
        landed = fetch(local, api, PAGES)
        assert (landed.total("landed"), landed.failures) == (10, [])
        assert api.asked[before].page() == 3
        assert ids(local) == list(range(40))


def test_pages_that_are_bad_to_the_end(local: Destination) -> None:
    """When three pages in a row cannot be read, those behind them are not asked for; the first one's reason is told."""
    with Api(lambda asked: page(asked) if asked.page() < 3 else Said(status=400, body=b"too deep")) as api:
        with pytest.raises(SourceError, match="page=3 gave status 400: too deep") as raised:
            fetch(local, api, PAGES, concurrency=1)
        assert "end_status" in raised.value.fix
        assert ids(local) == list(range(20))
        assert max(a.page() for a in api.asked) <= 6


def test_a_replaced_stream_and_a_growing_one_stop_at_a_bad_page(local: Destination) -> None:
    """A refresh has to be whole, and with ``order: ascending`` a later page would move on what is asked for next."""
    growing = {**PAGES, "incremental": {"field": "id", "params": "since={cursor}", "order": "ascending"}}
    for endpoint, disposition in ((PAGES, "replace"), (growing, "append")):
        with Api(Bad(Said(status=400))) as api, pytest.raises(SourceError, match="page=3"):
            fetch(local, api, endpoint, disposition=disposition)
    assert ids(local) == list(range(20))


@pytest.mark.parametrize("kind", [k for k in BAD if k != "refused"])
def test_a_page_that_is_bad_once_is_asked_for_again(local: Destination, kind: str) -> None:
    """What goes well the second time costs nothing but time."""
    with Api(Bad(BAD[kind][0], times=1)) as api:
        assert fetch(local, api, PAGES).total("landed") == 40
        assert [a.page() for a in api.asked].count(3) == 2


def test_a_record_that_is_no_object(destination: Destination) -> None:
    """It goes to quarantine with its bytes, and the others of its page land."""
    with Api(lambda _: Said(body=b'{"data":[{"id":1},"text",7,null,{"id":2},{"id":}]}')) as api:
        landed = fetch(destination, api, {"records": "data"})
        assert ids(destination) == [1, 2]
        found = quarantined(destination, "cars")
        assert found == {
            b'"text"': "not_an_object",
            b"7": "not_an_object",
            b"null": "not_an_object",
            b'{"id":}': "invalid_json",
        }
        assert ledger(destination, "cars") == [(6, 2, 0, 4)]
        assert landed.total("read") == 6


def test_a_page_that_comes_twice(local: Destination) -> None:
    """A copy of a page is harmless: its records are duplicates, and the pages behind it are not left out."""

    def answer(asked: Asked) -> Said:
        shown = asked.page() - (asked.page() > 2)
        first = 10 * shown - 10
        return said({"total": 40, "data": [{"id": first + n} for n in range(10)] if shown <= 4 else []})

    for pagination in ({"type": "page"}, {"type": "page", "total": "total"}):
        with Api(answer) as api:
            landed = fetch(local, api, {"records": "data", "pagination": pagination}, fingerprint=False)
            assert landed.total("read") == 50
            assert ids(local) == list(range(40))


def test_a_page_that_is_given_in_place_of_another_once(local: Destination) -> None:
    """A page that is answered with the one before it is asked for again, so that its own records are not lost."""
    given = [False]

    def answer(asked: Asked) -> Said:
        if asked.page() == 3 and not given[0]:
            given[0] = True
            return page(Asked(number=0, method="GET", path="", query={"page": "2"}, headers={}, body=b""))
        return page(asked)

    with Api(answer) as api:
        assert fetch(local, api, PAGES).total("landed") == 40


CIRCLES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "the parameter is not known": (lambda _: said({"data": [{"id": 1}, {"id": 2}]}), {"type": "page"}, "3 pages one"),
    "the last page for ever": (
        lambda a: page(
            Asked(number=0, method="", path="", query={"page": str(min(a.page(), 3))}, headers={}, body=b"")
        ),
        {"type": "page"},
        "3 pages one after the other",
    ),
    "the same offset": (
        lambda _: said({"data": [{"id": n} for n in range(5)]}),
        {"type": "offset", "limit": 5},
        "3 pages one after the other",
    ),
    "the same cursor": (
        lambda _: said({"data": [{"id": 1}], "next": "again"}),
        {"type": "cursor", "path": "next"},
        "the cursor to the next page was given before",
    ),
    "two links": (
        lambda a: said({"data": [{"id": a.path}], "next": "/odd" if a.number % 2 else "/even"}),
        {"type": "next_link"},
        "the link to the next page was given before",
    ),
}


@pytest.mark.parametrize("kind", CIRCLES)
def test_pages_that_go_in_circles(local: Destination, kind: str) -> None:
    """A paginator that is caught in a loop stops with an error that says so."""
    answer, pagination, why = CIRCLES[kind]
    with Api(answer) as api:
        with pytest.raises(SourceError, match=f"go in circles: {why}"):
            fetch(local, api, {"records": "data", "pagination": pagination})
        assert len(api.asked) < 60
        assert ids(local)


def test_an_error_with_status_200(local: Destination) -> None:
    """``error`` says where the API tells of one; without it, one object would be a record."""
    with Api(lambda _: said({"ok": False, "error": "token=abcdefgh is over its quota"})) as api:
        with pytest.raises(SourceError, match=r"the API says: token=\*+ is over"):
            fetch(local, api, {}, error="error")
        assert fetch(local, api, {}).total("landed") == 1


def test_an_object_where_pages_should_be(local: Destination) -> None:
    """Pages without ``records`` are lists; an object says what keys it has."""
    with Api(page) as api, pytest.raises(SourceError, match="one object, with data") as raised:
        fetch(local, api, {"pagination": "page"})
    assert "records:" in raised.value.fix


def test_an_expired_token_in_the_middle(local: Destination) -> None:
    """A token that is refused in the middle is renewed, and the load goes on with the same page."""
    good = ["t1"]
    handed: list[str] = []

    def answer(asked: Asked) -> Said:
        if asked.path == "/token":
            handed.append(f"t{len(handed) + 1}")
            return said({"access_token": handed[-1], "token_type": "bearer", "expires_in": 3600})
        if asked.page() == 3 and len(handed) == 1:
            good[0] = "t2"
        return page(asked) if asked.headers.get("authorization") == f"Bearer {good[0]}" else Said(status=401)

    with Api(answer) as api:
        auth = {"type": "oauth2", "token_url": f"{api.url}/token", "client_id": "me", "client_secret": "hush"}
        assert fetch(local, api, PAGES, auth=auth).total("landed") == 40
        assert handed == ["t1", "t2"]


def test_a_redirect_to_another_host(local: Destination) -> None:
    """The records come from there, and the credentials do not go there."""
    with (
        Api(page) as other,
        Api(lambda a: Said(status=302, headers={"location": f"{other.url}/moved?page={a.page()}"})) as api,
    ):
        landed = fetch(local, api, PAGES, auth={"type": "bearer", "token": "hush-hush"})
        assert landed.total("landed") == 40
        assert all(a.headers["authorization"] == "Bearer hush-hush" for a in api.asked)
        assert not any("authorization" in a.headers for a in other.asked)


def test_no_parent_has_children(local: Destination) -> None:
    """404 for one parent is an empty list; for all of them the path is wrong."""

    def answer(asked: Asked) -> Said:
        return said([{"id": 1}, {"id": 2}]) if asked.path == "/owners" else Said(status=404)

    with Api(answer) as api, pytest.raises(SourceError, match="404 for every parent"):
        endpoint = {"path": "o/{parent.id}", "parent": {"endpoint": "owners", "field": "id"}}
        fetch(local, api, endpoint, others={"owners": {}})


@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_bad_lines(local: Destination, kind: str) -> None:
    """A line that is cut off is no record, and a web page is no CSV."""
    bodies = {"ndjson": b'{"id":1}\n{"id"', "csv": HTML}
    with Api(lambda _: Said(body=bodies[kind])) as api:
        match = "in the middle of a line" if kind == "ndjson" else "a web page, not CSV"
        with pytest.raises(SourceError, match=match):
            fetch(local, api, {"format": kind})


def test_a_next_page_that_nobody_declared(local: Destination) -> None:
    """One page of several does not pass for all of them, unless ``none`` is written."""
    more = {"link": '</cars?page=2>; rel="next"'}
    with Api(lambda _: said([{"id": 1}], headers=more)) as api:
        with pytest.raises(SourceError, match="links to a next page") as raised:
            fetch(local, api, {})
        assert "pagination: link_header" in raised.value.fix
        assert len(api.asked) == 1
        assert fetch(local, api, {"pagination": "none"}).total("landed") == 1
