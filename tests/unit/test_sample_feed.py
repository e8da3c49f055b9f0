"""The made-up records: a function of seed and number, wrong only where they are meant to be."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, datetime
from typing import Any

import numpy as np
import pytest

from penstock.samples.cars import feeds
from penstock.samples.fault_rules import Fault, Faults, parse_faults
from penstock.samples.feed import START, Feed
from penstock.samples.moments import moment_of
from penstock.samples.texts import page

RECORDS = 5_000
FEEDS = feeds(records=RECORDS)


def records(feed: Feed, numbers: Any) -> list[dict[str, Any]]:
    """Records by number."""
    text = page(feed.fields, feed.columns(np.asarray(numbers, dtype=np.int64)), "json")
    found: list[dict[str, Any]] = json.loads(b"[" + text + b"]")
    return found


@pytest.mark.parametrize("feed", FEEDS, ids=lambda f: f.name)
def test_a_record_depends_on_its_number_alone(feed: Feed) -> None:
    """Asked for alone, in another order or from another feed of the seed, it is the same; another seed differs."""
    every = records(feed, range(RECORDS))
    some = [4_321, 17, 17, 0, RECORDS - 1]
    assert records(feed, some) == [every[n] for n in some]
    again = next(f for f in feeds(records=RECORDS) if f.name == feed.name)
    assert records(again, some) == [every[n] for n in some]
    other = next(f for f in feeds(records=RECORDS, seed=2) if f.name == feed.name)
    assert records(other, some) != [every[n] for n in some]


@pytest.mark.parametrize("feed", FEEDS, ids=lambda f: f.name)
@pytest.mark.parametrize(
    ("since", "until", "as_of"),
    [
        (None, None, None),
        ("2024-03-01", None, None),
        (None, "2024-03-01", None),
        ("2024-03-01", "2024-03-02", None),
        ("2024-03-01", "2025-03-01", "2024-09-30"),
        ("2019-01-01", "2031-01-01", "2031-01-01"),
        ("2025-12-31", None, None),
        ("2030-01-01", None, None),
        (None, None, "2023-01-01"),
    ],
)
def test_filters_find_what_looking_at_every_record_finds(
    feed: Feed, since: str | None, until: str | None, as_of: str | None
) -> None:
    """By arithmetic or by reading all of them: the same numbers, in order, whole and in pieces."""
    low, high, seen = (None if text is None else moment_of(text) for text in (since, until, as_of))
    every = np.arange(RECORDS)
    updated, visible = feed.updated(every), feed.timeline.at(every)
    assert (updated <= visible).all()
    assert (np.diff(visible) >= 0).all()
    kept = np.ones(RECORDS, dtype=bool)
    kept &= True if low is None else updated >= low
    kept &= True if high is None else updated < high
    kept &= True if seen is None else visible <= seen
    selection = feed.select(low, high, seen)
    assert len(selection) == kept.sum()
    pieces = [selection.numbers(n, n + 97) for n in range(0, len(selection) + 97, 97)]
    assert np.concatenate(pieces).tolist() == every[kept].tolist()


def test_things_change_over_time() -> None:
    """A car has up to three states, one after the other; what tells it from others stays."""
    cars, _, _ = FEEDS
    seen: dict[int, dict[str, dict[str, Any]]] = {}
    for record in records(cars, range(RECORDS)):
        seen.setdefault(record["id"], {})[record["updated"]] = record
    assert Counter(len(v) for v in seen.values()).keys() == {1, 2, 3}
    for versions in seen.values():
        ordered = [versions[at] for at in sorted(versions)]
        assert len({(r["brand"], r["model"]) for r in ordered}) == 1
        assert [r["price"] for r in ordered] == sorted((r["price"] for r in ordered), reverse=True)
        gone = [r["deregistration_date"] is not None for r in ordered]
        assert gone == sorted(gone)


def test_dirt_of_every_kind() -> None:
    """Copies, late states, unknown cars, dates that are none, terms as words: some of each, and not many."""
    cars, customers, subscriptions = (records(f, range(RECORDS)) for f in FEEDS)
    for every in (cars, customers, subscriptions):
        copies = len(every) - len({json.dumps(r) for r in every})
        assert 20 < copies < 100
    latest: dict[int, str] = {}
    late = 0
    for record in customers:
        late += record["updated"] < latest.get(record["id"], "")
        latest[record["id"]] = max(record["updated"], latest.get(record["id"], ""))
    assert 20 < late < 200
    known = {r["id"] for r in cars}
    assert {r["customer_id"] for r in subscriptions} <= latest.keys()
    assert 5 < sum(r["car_id"] not in known for r in subscriptions) < 60
    assert 60 < sum(isinstance(r["term_months"], str) for r in subscriptions) < 250
    for every, field in ((cars, "registration_date"), (subscriptions, "start_date")):
        assert 5 < sum(not _is_date(r[field]) for r in every) < 60
    assert all((r["company_name"] is None) == (r["type"] == "b2c") for r in customers)


def test_ten_million_records_are_as_quick_as_ten_thousand() -> None:
    """The last page of the largest feed is there without those before it, and has the dates it should have."""
    for feed in feeds(records=10_000_000):
        selection = feed.select(moment_of("2025-12-30"), None, None)
        assert 10_000 < len(selection) < 20_000
        last = records(feed, selection.numbers(len(selection) - 1000, len(selection)))
        assert len(last) == 1000
        assert last[-1].get("updated", last[-1]["created" if "created" in last[-1] else "updated"]) > "2025-12-29"


def test_what_happened_to_one_thing() -> None:
    """All records about a customer, copies left out."""
    _, customers, _ = FEEDS
    assert customers.records_of is not None
    every = records(customers, range(RECORDS))
    for id_ in (1, 2, 11, 12, 501):
        mine = {json.dumps(r) for r in every if r["id"] == id_}
        assert {json.dumps(r) for r in records(customers, customers.records_of(id_))} == mine
    assert not len(customers.records_of(RECORDS + 100))
    assert moment_of("2024-01-01") == START


def test_faults_of_paging_lose_nothing() -> None:
    """Whatever pages come twice or change places, each is shown; one that repeats is shown for ever."""
    for seed in range(30):
        for pages in (1, 2, 7, 20):
            faults = Faults([Fault(kind="duplicate", odds=0.3), Fault(kind="reorder", odds=0.4)], seed)
            shown = [faults.source(n, pages)[0] for n in range(1, faults.shown(pages) + 1)]
            assert set(shown) == set(range(1, pages + 1))
    assert [parse_faults(["duplicate@2,reorder@4"]).source(n, 5)[0] for n in range(1, 7)] == [1, 2, 2, 3, 5, 4]
    assert [parse_faults(["repeat@3"]).source(n, 9) for n in (2, 3, 4, 9)] == [
        (2, False),
        (3, True),
        (3, True),
        (3, True),
    ]


def _is_date(text: str) -> bool:
    try:
        return isinstance(datetime.fromisoformat(text).date(), date)
    except ValueError:
        return False
