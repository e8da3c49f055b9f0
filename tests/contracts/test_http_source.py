"""What the HTTP source owes: all records of an API, however it gives them, as the bytes it sent."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import ProjectError
from penstock.jsonpath import parse_path
from penstock.ports import Destination
from penstock.project import load_project
from penstock.sources.http.links import next_link
from penstock.sources.http.records import JsonCutter
from penstock.spec import StreamSpec
from tests.support.api import Api, Asked, Said, pages_of, said
from tests.support.fetching import fetch, ids, origins, source_of
from tests.support.fixtures import whichever as destination
from tests.support.warehouse import land, ledger, table, write_files

__all__ = ["destination"]  # a fixture

CARS = [{"id": n, "brand": f"brand {n % 7}", "price": n + 0.5} for n in range(25)]


def by_offset(asked: Asked) -> Said:
    """Never more than 10, whatever is asked for."""
    first = int(asked.query.get("offset", 0))
    return said({"data": CARS[first : first + min(int(asked.query["limit"]), 10)], "total": len(CARS)})


def by_cursor(asked: Asked) -> Said:
    first = int(asked.query.get("after", 0))
    more = first + 10 < len(CARS)
    return said({"data": CARS[first : first + 10], "meta": {"next": str(first + 10) if more else None}, "more": more})


def by_last_id(asked: Asked) -> Said:
    first = int(asked.query.get("after", -1)) + 1
    return said({"data": CARS[first : first + 10], "more": first + 10 < len(CARS)})


def by_link(asked: Asked) -> Said:
    first = asked.page() * 10 - 10
    link = f"/cars?page={asked.page() + 1}" if first + 10 < len(CARS) else None
    return said({"links": {"next": link}, "data": CARS[first : first + 10]})


def by_header(asked: Asked) -> Said:
    first = asked.page() * 10 - 10
    link = f'</cars?page=1>; rel="first", </cars?page={asked.page() + 1}>; rel="next"'
    return said(CARS[first : first + 10], headers={"Link": link} if first + 10 < len(CARS) else {})


def with_end(asked: Asked) -> Said:
    """404 behind the last page."""
    return pages_of(CARS, 10)(asked) if asked.page() <= 3 else said({"error": "no such page"}, status=404)


PAGED: dict[str, tuple[Callable[[Asked], Said], dict[str, Any]]] = {
    "page": (pages_of(CARS, 10), {"type": "page"}),
    "page from 0": (
        lambda a: pages_of(CARS, 10)(Asked(**{**fields(a), "query": {"page": str(a.page("p") + 1)}})),
        {
            "type": "page",
            "param": "p",
            "start": 0,
        },
    ),
    "page, its number told": (pages_of(CARS, 10, info={"pages": 3}), {"type": "page", "pages": "info.pages"}),
    "page, total told": (pages_of(CARS, 10, total="25"), {"type": "page", "total": "total"}),
    "page, 404 at the end": (with_end, {"type": "page"}),
    "offset": (by_offset, {"type": "offset", "limit": 10}),
    "offset, fewer than asked for": (by_offset, {"type": "offset", "limit": 1000}),
    "offset, total told": (by_offset, {"type": "offset", "limit": 10, "total": "total"}),
    "cursor": (by_cursor, {"type": "cursor", "path": "meta.next", "param": "after"}),
    "cursor, last record": (by_last_id, {"type": "cursor", "field": "id", "param": "after", "more": "more"}),
    "next link": (by_link, {"type": "next_link", "path": "links.next"}),
}


def fields(asked: Asked) -> dict[str, Any]:
    """A request as arguments."""
    return {name: getattr(asked, name) for name in Asked.__slots__}


@pytest.mark.parametrize("kind", PAGED)
def test_every_pagination(local: Destination, kind: str) -> None:
    """All records land once, by every kind of pagination; a second load lands none."""
    answer, pagination = PAGED[kind]
    with Api(answer) as api:
        endpoint = {"records": "data", "pagination": pagination}
        landed = fetch(local, api, endpoint)
        assert landed.total("landed") == landed.total("read") == len(CARS)
        assert ids(local) == list(range(25))
        assert fetch(local, api, endpoint).total("landed") == 0
        assert all(read == new + twice + bad for read, new, twice, bad in ledger(local, "cars"))


def test_link_header(local: Destination) -> None:
    """The Link header leads on, and the answer is nothing but the list."""
    with Api(by_header) as api:
        assert fetch(local, api, {"pagination": "link_header"}).total("landed") == len(CARS)
        assert api.paths() == ["/cars", "/cars?page=2", "/cars?page=3"]


def test_link_headers() -> None:
    """Of several links, in any spelling, the next one is taken (RFC 8288)."""
    assert next_link('<a>; rel=prev, <b;,c>; title="x, y"; rel="last next"') == "b;,c"
    assert next_link("<a>; REL=NEXT") == "a"
    assert next_link('<a>; rel="nextish"') is None
    assert next_link("") is None


def test_origins_and_no_request_too_many(local: Destination) -> None:
    """An origin tells page and place; when the end is told, nothing is asked for behind it."""
    with Api(pages_of(CARS, 10, pages=3)) as api:
        fetch(local, api, {"records": "data", "pagination": {"type": "page", "pages": "pages"}})
        assert "GET /cars?page=2#10" in origins(local)
        assert sorted(api.paths()) == ["/cars?page=1", "/cars?page=2", "/cars?page=3"]


def test_pages_are_fetched_ahead_and_no_more_than_allowed(local: Destination) -> None:
    """Several requests are under way at once, and never more than ``concurrency``."""
    import threading
    import time

    under_way, most, lock = [0], [0], threading.Lock()

    def answer(asked: Asked) -> Said:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.05)
        with lock:
            under_way[0] -= 1
        return pages_of([{"id": n} for n in range(100)], 5)(asked)

    with Api(answer) as api:
        landed = fetch(local, api, {"records": "data", "pagination": "page"}, concurrency=4)
        assert landed.total("landed") == 100
        assert most[0] == 4


FORMATS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "list": (b' [ {"id" : 1, "v":"a"} , {"id":2,"v":"b"}\n]', {}),
    "key": (b'{"n":{"results":[7]},"results":[{"id" : 1, "v":"a"},{"id":2,"v":"b"}],"x":"]"}', {"records": "results"}),
    "path": (b'{"data":{"items":[{"id":1,"v":"a"},{"id":2,"v":"b"}]}}', {"records": "$.data.items"}),
    "all": (
        b'{"data":[{"items":[{"id":1,"v":"a"}]},{"items":[]},{"items":[{"id":2,"v":"b"}]}]}',
        {"records": "$.data[*].items"},
    ),
    "each": (b'{"hits":[{"_source":{"id":1,"v":"a"}},{"_source":{"id":2,"v":"b"}}]}', {"records": "hits[*]._source"}),
    "place": (b'[{"page":1},[{"id":1,"v":"a"},{"id":2,"v":"b"}]]', {"records": "$[1]"}),
    "quoted": (b'{"a.b":[{"id":1,"v":"a"},{"id":2,"v":"b"}]}', {"records": '["a.b"]'}),
    "lines": (b'{"id":1,"v":"a"}\n\n{"id":2,"v":"b"}', {"format": "ndjson"}),
    "csv": (b"id,v\n1,a\n2,b\n", {"format": "csv"}),
    "semicolons": (b"id;v\r\n1;a\r\n2;'b'\r\n", {"format": "csv", "csv": {"delimiter": ";", "quote": "'"}}),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_formats(local: Destination, kind: str) -> None:
    """Records are found wherever they are declared to be, in JSON, NDJSON and CSV, plain and compressed."""
    body, endpoint = FORMATS[kind]

    def answer(asked: Asked) -> Said:
        if asked.path == "/cars":
            return Said(body=body)
        return Said(body=gzip.compress(body), headers={"content-encoding": "gzip"})

    with Api(answer) as api:
        fetch(local, api, endpoint)
        again = fetch(local, api, {**endpoint, "path": "packed"})
        assert (again.total("read"), again.total("landed")) == (2, 0)
    assert [(r["id"], r["v"]) for r in sorted(table(local, "cars"), key=lambda r: int(r["id"]))] == [
        (1, "a"),
        (2, "b"),
    ]


@pytest.mark.parametrize("kind", ["json", "ndjson", "csv"])
def test_a_large_answer_is_read_as_it_comes(kind: str) -> None:
    """One answer of many megabytes comes in batches, its records numbered through; when it breaks off, once more."""
    text, count = "x" * 1_000, 12_000
    bodies = {
        "json": b'{"data":[%s],"end":1}'
        % b",".join(b'{"id":%d,"text":"%s"}' % (n, text.encode()) for n in range(count)),
        "ndjson": b"\n".join(b'{"id":%d,"text":"%s"}' % (n, text.encode()) for n in range(count)),
        "csv": b"id,text\n" + b"".join(b"%d,%s\n" % (n, text.encode()) for n in range(count)),
    }
    faults = ["cut", ""]
    with Api(lambda _: Said(body=bodies[kind], fault=faults.pop(0))) as api:
        batches = list(source_of(api, {"format": kind, "records": "data"}, batch_bytes=1 << 20).read({}))
    assert len(batches) >= 4
    assert not any(b.positions for b in batches[:-2])
    seen = [json.loads(b.bodies[i].as_py())["id"] for b in batches for i in range(0, len(b.bodies), 500)]
    assert len({int(n) for n in seen}) > 20
    whole = [b for b in batches if len(b.bodies)]
    assert whole[-1].origin(len(whole[-1].bodies) - 1) == f"GET /cars#{count}"
    assert sum(len(b.bodies) for b in batches) >= count


def test_one_object_is_one_record(local: Destination) -> None:
    """An object at the records' place is a record; null and an empty list are none."""
    with Api(lambda a: said({"id": 1}) if a.path == "/cars" else said({"data": None})) as api:
        assert fetch(local, api, {}).total("landed") == 1
        assert fetch(local, api, {"path": "none", "records": "data"}).total("read") == 0


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 20])
def test_cut_in_any_chunks(size: int) -> None:
    """The records are the bytes that were sent, in whatever chunks these come; the rest is the envelope."""
    records = [b'{"a" : "x]},\\"{[", "b":[1,{"c":2}]}', b'{"n":1.000e5,\n"u":"\xc3\xa4"}', b"{}", b"7", b'"a,b"']
    whole = b'\xef\xbb\xbf {"s":"\\"[","meta":{"n":[1,[2]],"results":[1]}, "results" : [' + b" , ".join(records)
    whole += b'\n] , "next":12}'
    cutter = JsonCutter(parse_path("results"), shown="results")
    cuts = [c for at in range(0, len(whole), size) for c in cutter.cut(whole[at : at + size])]
    rest, envelope = cutter.finish()
    bodies = [b.as_py().strip() for c in [*cuts, *rest] for b in c.bodies]
    assert bodies == records
    assert [n for c in cuts for n in c.numbers] == [1, 2, 3, 4, 5]
    assert envelope == {"s": '"[', "meta": {"n": [1, [2]], "results": [1]}, "results": [], "next": 12}


def test_same_rows_as_files(destination: Destination, tmp_path: Path) -> None:
    """Law 2: the records of an API give the rows that they give as a file, and are duplicates of these."""
    records = [
        b'{"id":1,"n":1.10,"when":"2020-12-07T01:02:03Z","x":{"b":1,"a":[1,2]}}',
        b'{ "n" : 1e2, "id" : 2 , "text" : "\\u00e4\xc3\xa4" }',
        b'{"id":3,"n":12345678901234567890123,"more":null}',
        b'{"id":3,"id":4}',
        b"[1]",
    ]
    body = b'{"data":[' + b",".join(records) + b"]}"
    with Api(lambda _: Said(body=body)) as api:
        fetch(destination, api, {"records": "data"}, rules=StreamSpec(stream="fetched"))
        write_files(tmp_path / "in", {"cars.ndjson": b"\n".join(records)})
        land(destination, tmp_path / "in", StreamSpec(stream="filed"))
        assert table(destination, "fetched") == table(destination, "filed")
        assert fetch(destination, api, {"records": "data"}, rules=StreamSpec(stream="filed")).total("landed") == 0


def test_parents(destination: Destination) -> None:
    """Each parent is asked for its children, with its value in the path, however it is spelt."""
    parents = [{"id": f"a/{n} ä"} for n in range(7)] + [{"id": None}, {}]

    def answer(asked: Asked) -> Said:
        if asked.path == "/customers":
            return pages_of(parents, 3)(asked)
        name = asked.path.split("/")[2]
        if name.startswith("a%2F3"):
            return said({"error": "gone"}, status=404)
        return said([{"of": name, "n": n} for n in range(2)])

    with Api(answer) as api:
        landed = fetch(
            destination,
            api,
            {"path": "customers/{parent.id}/orders", "parent": {"endpoint": "customers", "field": "id"}},
            others={"customers": {"records": "data", "pagination": "page"}},
        )
        assert landed.total("landed") == 12
        assert "GET /customers/a%2F2%20%C3%A4/orders#2" in origins(destination)
        assert ids(destination, column="of")[0] == "a%2F0%20%C3%A4"


def test_post(local: Destination) -> None:
    """POST sends a body, and the pages' parameters in it where they belong there."""

    def answer(asked: Asked) -> Said:
        wanted = json.loads(asked.body)
        assert wanted["filter"] == {"brand": "x"}
        return said(CARS[10 * wanted["page"] - 10 : 10 * wanted["page"]])

    with Api(answer) as api:
        endpoint = {
            "method": "POST",
            "body": {"filter": {"brand": "x"}},
            "parameters_in": "body",
            "pagination": "page",
        }
        assert fetch(local, api, endpoint).total("landed") == len(CARS)


def test_replace(destination: Destination) -> None:
    """``replace`` takes all pages in one transaction, or none of them."""
    shown = list(CARS)

    def answer(asked: Asked) -> Said:
        if asked.page() == 2 and len(shown) == 24:
            return Said(status=400)
        return pages_of(shown, 10)(asked)

    with Api(answer) as api:
        endpoint = {"records": "data", "pagination": "page"}
        fetch(destination, api, endpoint, disposition="replace")
        del shown[0]
        with pytest.raises(Exception, match="status 400"):
            fetch(destination, api, endpoint, disposition="replace")
        assert ids(destination) == list(range(25))
        del shown[0]
        fetch(destination, api, endpoint, disposition="replace")
        assert ids(destination) == list(range(2, 25))


def test_secrets_are_nowhere(destination: Destination) -> None:
    """A key in the query, and links that repeat it, leave no trace in origins, positions and errors."""

    def answer(asked: Asked) -> Said:
        assert asked.query["api_key"] == "s3cr3t-key"
        if asked.page() == 3:
            return Said(status=400, body=b"s3cr3t-key is wrong")
        return said({"data": [{"id": asked.page()}], "next": f"?page={asked.page() + 1}&api_key=s3cr3t-key"})

    with Api(answer) as api:
        auth = {"type": "api_key", "key": "s3cr3t-key", "name": "api_key", "location": "query"}
        endpoint = {"records": "data", "pagination": "next_link"}
        with pytest.raises(Exception, match="status 400") as raised:
            fetch(destination, api, endpoint, auth=auth)
        assert "s3cr3t" not in str(raised.value)
        assert ids(destination) == [1, 2]
        kept = str(destination.ledger.positions("cars", "api")) + str(origins(destination))
        assert "page=3" in kept
        assert "s3cr3t" not in kept
        assert "s3cr3t" not in source_of(api, endpoint, auth=auth).described(
            destination.ledger.positions("cars", "api")
        )


PROJECT = """
name: api
destinations: { local: { type: duckdb, path: w.duckdb } }
sources:
  api:
    type: http
    base_url: http://127.0.0.1:1
    endpoints: %s
streams:
  cars: { from: api }
"""

WRONG = {
    "{ car: {} }": "(?s)has no endpoint 'cars'.*did you mean car",
    "{ cars: { pagination: pages } }": "expected page, offset",
    "{ cars: { pagination: { type: cursor } } }": "path .* or field",
    "{ cars: { records: 'a..b' } }": "is no path",
    "{ cars: { path: '/x/{parent.id}' } }": "needs parent",
    "{ cars: { path: '/x/{year}' } }": "stands for nothing",
    "{ cars: { incremental: { field: at, params: 'since=now' } } }": "names no {cursor}",
    "{ cars: { windows: { params: 'from={form}' } } }": "names no {from}",
    "{ cars: { parent: { endpoint: custmers, field: id }, path: 'x/{parent.id}' }, customers: {} }": "mean cust",
    "{ cars: { parent: { endpoint: customers, field: id }, path: 'x/{parent.key}' }, customers: {} }": "parent.id",
    "{ cars: { body: { a: 1 } } }": "GET has no body",
    "{ cars: { incremental: { field: at, params: 's={cursor}', overlap: soon } } }": "expected a duration",
}


@pytest.mark.parametrize("endpoints", WRONG)
def test_what_is_wrong_is_said_when_the_project_loads(tmp_path: Path, endpoints: str) -> None:
    """A setting that cannot work is an error with its line, before anything is asked."""
    (tmp_path / "penstock.yml").write_text(PROJECT % endpoints)
    with pytest.raises(ProjectError, match=WRONG[endpoints]) as raised:
        load_project(tmp_path)
    assert "penstock.yml:" in str(raised.value)
