"""What is new at an API is asked for from where the last load came to, and nothing is missed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from penstock.errors import SourceError, UsageError
from penstock.ports import Destination
from penstock.project.http import Incremental
from penstock.runs.plan import day_window
from penstock.sources.http.incremental import Columns, Watermark, earlier, rank
from penstock.spec import StreamSpec
from tests.support.api import Api, Asked, Said, said
from tests.support.fetching import fetch, ids, source_of
from tests.support.fixtures import whichever as destination

__all__ = ["destination"]  # a fixture

KEYED = StreamSpec(stream="cars", identity=("id", "updated"))


class Feed:
    """Records with a time, of which those updated since a time are shown, two a page; ``fails`` at one page."""

    def __init__(self, *records: tuple[int, str]) -> None:
        self.records: list[dict[str, Any]] = [{"id": n, "updated": at} for n, at in records]
        self.fails = 0
        self.sinces: list[str | None] = []

    def __call__(self, asked: Asked) -> Said:
        if asked.page() == self.fails:
            return Said(status=403)
        since = asked.query.get("updated_since")
        if asked.page() == 1:
            self.sinces.append(since)
        shown = [r for r in self.records if since is None or r["updated"] >= since]
        return said({"data": shown[2 * asked.page() - 2 : 2 * asked.page()]})


def endpoint(**more: Any) -> dict[str, Any]:
    """An endpoint that is loaded incrementally."""
    incremental = {"field": "updated", "params": "updated_since={cursor}", **more}
    return {"records": "data", "pagination": "page", "incremental": incremental}


def test_only_what_is_new_is_asked_for(destination: Destination) -> None:
    """The second load asks from the greatest value on, less the overlap; what it gets again lands once."""
    feed = Feed((1, "2020-12-07T10:00:00Z"), (2, "2020-12-07T12:00:00Z"), (3, "2020-12-07T11:00:00Z"))
    with Api(feed) as api:
        assert fetch(destination, api, endpoint(), rules=KEYED).total("landed") == 3
        again = fetch(destination, api, endpoint(), rules=KEYED)
        assert (again.total("read"), again.total("landed")) == (1, 0)
        feed.records.append({"id": 4, "updated": "2020-12-07T13:00:00Z"})
        assert fetch(destination, api, endpoint(), rules=KEYED).total("landed") == 1
        fetch(destination, api, endpoint(), rules=KEYED)
        assert feed.sinces == [None, "2020-12-07T11:50:00Z", "2020-12-07T11:50:00Z", "2020-12-07T12:50:00Z"]


def test_a_record_committed_late_is_not_missed(local: Destination) -> None:
    """A record that shows up with a time that was passed already lands, as long as it is within the overlap."""
    feed = Feed((1, "2020-12-07T12:00:00Z"))
    with Api(feed) as api:
        fetch(local, api, endpoint(overlap="1h"), rules=KEYED)
        feed.records.append({"id": 2, "updated": "2020-12-07T11:10:00Z"})
        assert fetch(local, api, endpoint(overlap="1h"), rules=KEYED).total("landed") == 1
        assert ids(local) == [1, 2]


@pytest.mark.parametrize("order", ["any", "ascending"])
def test_a_failed_load_is_gone_on_with(destination: Destination, order: str) -> None:
    """What landed stays; the next load goes on from the failure, and no record is lost by it. The pages behind it land
    too, unless each page moves on what is asked for next."""
    feed = Feed(*((n, f"2020-12-07T{10 + n}:00:00Z") for n in range(8)))
    if order == "any":
        feed.records.reverse()
    with Api(feed) as api:
        feed.fails = 3
        if order == "ascending":
            with pytest.raises(SourceError, match="status 403"):
                fetch(destination, api, endpoint(order=order), rules=KEYED)
        else:
            (failure,) = fetch(destination, api, endpoint(order=order), rules=KEYED).failures
            assert "status 403" in str(failure)
        landed = 4 if order == "ascending" else 6
        assert len(ids(destination)) == landed
        (state,) = destination.ledger.positions("cars", "api").values()
        assert ("mark" in state) == (order == "ascending")
        feed.fails = 0
        before = len(api.asked)
        assert fetch(destination, api, endpoint(order=order), rules=KEYED).total("landed") == 8 - landed
        assert ids(destination) == list(range(8))
        first = api.asked[before].query
        assert first == ({"page": "3"} if order == "any" else {"page": "1", "updated_since": "2020-12-07T12:50:00Z"})
        assert fetch(destination, api, endpoint(order=order), rules=KEYED).total("read") == 1
        assert feed.sinces[-1] == "2020-12-07T16:50:00Z"


def test_a_page_that_is_no_more_begins_the_pass_anew(local: Destination) -> None:
    """When the API does not know the cursor of a failed load any more, the next load starts over by itself."""
    day, fails = ["mon"], [True]

    def answer(asked: Asked) -> Said:
        of, _, number = asked.query.get("cursor", f"{day[0]}-1").partition("-")
        if of != day[0]:
            return Said(status=410)
        if number == "3" and fails[0]:
            return Said(status=403)
        return said({"data": [{"id": int(number)}], "next": f"{of}-{int(number) + 1}" if number != "4" else None})

    pages = {"records": "data", "pagination": {"type": "cursor", "path": "next"}}
    with Api(answer) as api:
        with pytest.raises(SourceError, match="status 403"):
            fetch(local, api, pages)
        assert ids(local) == [1, 2]
        day[0], fails[0] = "tue", False
        before = len(api.asked)
        assert fetch(local, api, pages).total("read") == 4
        assert api.paths()[before:] == ["/cars?cursor=mon-3", "/cars", *(f"/cars?cursor=tue-{n}" for n in (2, 3, 4))]
        assert ids(local) == [1, 2, 3, 4]


def test_initial_and_no_fingerprint(local: Destination) -> None:
    """``initial`` is the first load's cursor; without the fingerprint all is asked for as if for the first time."""
    feed = Feed((1, "2020-12-07"), (2, "2020-12-08"), (3, "2020-12-09"))
    with Api(feed) as api:
        assert fetch(local, api, endpoint(initial="2020-12-08"), rules=KEYED).total("landed") == 2
        fetch(local, api, endpoint(initial="2020-12-08"), rules=KEYED)
        fetch(local, api, endpoint(initial="2020-12-07"), rules=KEYED, fingerprint=False)
        assert feed.sinces == ["2020-12-08", "2020-12-08", "2020-12-07"]
        assert ids(local) == [1, 2, 3]


def test_numbers_and_texts(local: Destination) -> None:
    """Numbers are compared as such, texts when they are declared, and anything else is an error that says so."""
    values: list[Any] = [9, 10]

    def answer(asked: Asked) -> Said:
        return said([{"id": v, "updated": v} for v in values if str(v) >= asked.query.get("updated_since", "")])

    def kept() -> Any:
        return local.ledger.positions("cars", "api")["all"]["mark"]["value"]

    with Api(answer) as api:
        incremental = endpoint()["incremental"]
        fetch(local, api, {"incremental": incremental})
        assert kept() == "10"
    values = ["k3", "k12"]
    with Api(answer) as api:
        with pytest.raises(SourceError, match="holds what is neither a time nor a number"):
            fetch(local, api, {"path": "texts", "incremental": incremental}, fingerprint=False)
        fetch(local, api, {"incremental": {**incremental, "type": "text"}}, fingerprint=False)
        assert kept() == "k3"


def test_greatest_values() -> None:
    """The greatest time is found across zones; mistakes, and times far ahead of the clock, do not count."""
    columns = Columns()
    mark = Watermark(Incremental.model_validate(endpoint()["incremental"]), where="x")
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    bodies = [
        b'{"updated":"2024-01-01T00:00:00Z"}',
        b'{"updated":"2024-01-01T03:00:00+04:00"}',
        b'{"updated":"9999-01-01"}',
        b'{"updated":"soon"}',
        b'{"updated":null}',
        b"no JSON \xff",
        b"{}",
    ]
    found = mark.after(None, pa.array(bodies, pa.binary()), columns)
    assert found is not None
    assert found["value"] == "2024-01-01T00:00:00Z"
    later = mark.after(found, pa.array([f'{{"updated":"{soon}"}}'.encode()], pa.binary()), columns)
    assert later is not None
    assert later["value"] == soon
    assert mark.after(later, pa.array(bodies, pa.binary()), columns) == later
    columns.close()


def test_earlier_times_are_written_alike() -> None:
    """A time less the overlap has the same precision, separator and zone."""
    ten = timedelta(minutes=10)
    assert earlier("2020-12-07", ten) == "2020-12-06"
    assert earlier("2020-12-07 00:05", ten) == "2020-12-06 23:55"
    assert earlier("2020-12-07T00:05:00.1234567+02:00", ten) == "2020-12-06T23:55:00.1234560+02:00"
    assert earlier("2020-12-07T00:05:00Z", ten, "%d.%m.%Y") == "06.12.2020"
    assert rank({"kind": "timestamp", "value": "2020-12-07T01:00:00+02"}) < rank(
        {"kind": "timestamp", "value": "2020-12-07"}
    )


def test_unix_times() -> None:
    """Seconds and milliseconds since 1970 have an overlap too."""
    said_as = {"unix": "999400", "unix_ms": "400000"}
    for kind, expected in said_as.items():
        mark = Watermark(Incremental.model_validate({**endpoint()["incremental"], "type": kind}), where="x")
        assert mark.cursor({"kind": "number", "value": "1000000"}) == expected


WINDOWED = {"records": "data", "windows": {"params": "from={from}&to={to}", "inclusive": True}}


def daily(asked: Asked) -> Said:
    """One record a day."""
    if asked.query["from"] == "2020-12-09" and asked.number < 4:
        return Said(status=403)
    return said({"data": [{"id": f"{asked.query['from']} {asked.query['to']}"}]})


def test_windows(destination: Destination) -> None:
    """Dates are the API's parameters; each window that is over is asked for once, also after the failure of another."""
    window = day_window(None, date(2020, 12, 7), date(2020, 12, 10))
    with Api(daily) as api:
        (failure,) = fetch(destination, api, WINDOWED, window=window, concurrency=1).failures
        assert "status 403" in str(failure)
        assert ids(destination) == [f"2020-12-{day} 2020-12-{day}" for day in ("07", "08", "10")]
        landed = fetch(destination, api, WINDOWED, window=window, concurrency=1)
        assert (landed.total("landed"), len(landed.skipped)) == (1, 3)
        assert ids(destination)[-1] == "2020-12-10 2020-12-10"
        asked = len(api.asked)
        assert fetch(destination, api, WINDOWED, window=window).receipts == []
        assert len(api.asked) == asked
        again = fetch(destination, api, WINDOWED, window=window, fingerprint=False)
        assert (again.total("read"), again.total("landed")) == (4, 0)


def test_a_window_that_is_not_over_is_asked_for_again(local: Destination) -> None:
    """Today's records may still come."""
    today = datetime.now(UTC).date()
    with Api(lambda a: said({"data": [{"id": a.number}]})) as api:
        for n in (1, 2):
            fetch(local, api, WINDOWED, window=day_window(today, None, None))
            assert len(ids(local)) == n


def test_windows_have_a_beginning(local: Destination) -> None:
    """Without a first day there is no first window."""
    with Api(daily) as api, pytest.raises(UsageError, match="no first one"):
        source_of(api, WINDOWED, window=day_window(None, None, date(2020, 1, 1))).plan({})
    assert local.ledger.positions("cars", "api") == {}


def test_windows_and_the_watermark_do_not_mix(local: Destination) -> None:
    """Loading single days leaves alone how far the stream has come."""
    feed = Feed((1, "2020-12-07T10:00:00Z"))
    both = {**endpoint(), "windows": {"params": "from={from}"}}
    with Api(feed) as api:
        fetch(local, api, both, rules=KEYED)
        feed.records.append({"id": 2, "updated": "2021-01-01T00:00:00Z"})
        fetch(local, api, both, rules=KEYED, window=day_window(date(2021, 1, 1), None, None))
        assert ids(local) == [1, 2]
        assert local.ledger.positions("cars", "api")["all"]["mark"]["value"] == "2020-12-07T10:00:00Z"


def test_children_are_gone_on_with(destination: Destination) -> None:
    """One parent's failure stops no other; the next load goes on with that parent's page, and asks none before it."""
    broken = [True]

    def answer(asked: Asked) -> Said:
        if asked.path == "/owners":
            first = 3 * asked.page() - 3
            return said([{"id": n} for n in range(first, min(first + 3, 8))])
        owner = int(asked.path.split("/")[2])
        if owner == 4 and asked.page() == 2 and broken[0]:
            return Said(status=403)
        return said([{"id": f"{owner}-{asked.page()}"}] if asked.page() <= 2 else [])

    children = {
        "path": "owners/{parent.id}/cars",
        "parent": {"endpoint": "owners", "field": "id"},
        "pagination": "page",
    }
    with Api(answer) as api:
        landed = fetch(destination, api, children, others={"owners": {"pagination": "page"}}, concurrency=2)
        assert ["status 403" in str(failure) for failure in landed.failures] == [True]
        assert ids(destination) == [f"{n}-{p}" for n in range(8) for p in (1, 2) if (n, p) != (4, 2)]
        broken[0] = False
        before = len(api.asked)
        fetch(destination, api, children, others={"owners": {"pagination": "page"}}, concurrency=2)
        assert ids(destination) == [f"{n}-{p}" for n in range(8) for p in (1, 2)]
        again = {a.path for a in api.asked[before:]}
        assert not again & {f"/owners/{n}/cars" for n in range(4)}
        assert api.asked[before].query == {"page": "2"}


def test_a_window_is_final_once_no_more_may_come(destination: Destination) -> None:
    """A window is asked for again by loads that name it and by the next load of a later day, until it was read as long
    after its end as records may come. Where it still grew then, the load says so."""
    late = {7: 2, 8: 0}

    def answer(asked: Asked) -> Said:
        day = int(asked.query["from"][-2:])
        return said({"data": [{"id": f"{day}-{n}"} for n in range(1 + late.get(day, 0) * (asked.number > 5))]})

    def asked_by(first: int, last: int) -> tuple[list[int], list[str]]:
        before = len(api.asked)
        window = day_window(None, date(2020, 12, first), date(2020, 12, last))
        landed = fetch(destination, api, WINDOWED, window=window, lookback=timedelta(days=2))
        return sorted(int(a.query["from"][-2:]) for a in api.asked[before:]), landed.warnings

    with Api(answer) as api:
        assert asked_by(7, 7) == ([7], [])
        assert asked_by(8, 8) == ([7, 8], [])
        assert asked_by(8, 8) == ([7, 8], [])
        days, (warning,) = asked_by(9, 9)
        assert days == [7, 8, 9] and "records of 2020-12-07 still came" in warning
        assert asked_by(7, 9) == ([8, 9], [])
        assert asked_by(5, 5) == ([5], [])
        assert asked_by(11, 11) == ([5, 8, 9, 11], [])
        assert asked_by(11, 11) == ([11], [])
    assert ids(destination) == ["11-0", "5-0", "7-0", "7-1", "7-2", "8-0", "9-0"]
