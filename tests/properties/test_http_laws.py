"""The laws over the HTTP source: any records, in any pages, in any order, asked for again and again."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.ports import Destination
from penstock.spec import StreamSpec
from tests.support.api import Api, Asked, Said
from tests.support.examples import examples
from tests.support.fetching import fetch
from tests.support.records import events, lines, records
from tests.support.warehouse import land, ledger, quarantined, table, write_files

FEW = settings(
    max_examples=examples(8),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PAGES = {"records": "data", "pagination": {"type": "cursor", "path": "next"}}
_streams = iter(range(10**6))


class Pages:
    """Pages of records, each a text of JSON, in any sizes."""

    def __init__(self, texts: list[bytes], draw: random.Random) -> None:
        self._pages: list[list[bytes]] = []
        rest = list(texts)
        while rest:
            size = draw.randrange(4)
            self._pages.append(rest[:size])
            rest = rest[size:]

    def __call__(self, asked: Asked) -> Said:
        number = int(asked.query.get("cursor", 0))
        page = self._pages[number] if number < len(self._pages) else []
        following = number + 1 if number + 1 < len(self._pages) else None
        return Said(body=b'{"data":[%s], "next":%s}' % (b" ,\n".join(page), json.dumps(following).encode()))


def spelt(found: list[dict[str, Any]]) -> list[bytes]:
    """The records as JSON."""
    return [json.dumps(r).encode() for r in found]


@FEW
@given(found=records, seed=st.integers(0, 99))
def test_same_rows_in_any_pages_and_order(
    destination: Destination, tmp_path: Path, found: list[dict[str, Any]], seed: int
) -> None:
    """Laws 2 and 5: by file and by pages of any size the rows are the same; again, in another order, lands nothing."""
    draw = random.Random(seed)
    filed, fetched = (StreamSpec(stream=f"h{next(_streams)}") for _ in range(2))
    write_files(tmp_path / "in", {"a.ndjson": b"\n".join(spelt(found))})
    land(destination, tmp_path / "in", filed)
    with Api(Pages(spelt(found), draw)) as api:
        fetch(destination, api, PAGES, rules=fetched)
        assert table(destination, fetched.stream) == table(destination, filed.stream)
        assert sorted(quarantined(destination, fetched.stream)) == sorted(quarantined(destination, filed.stream))
        api.answer = Pages(draw.sample(spelt(found), len(found)), draw)
        again = fetch(destination, api, PAGES, rules=fetched)
        assert again.total("landed") == 0
        assert fetch(destination, api, PAGES, rules=filed).total("landed") == 0
        assert table(destination, fetched.stream) == table(destination, filed.stream)


@FEW
@given(found=events, seed=st.integers(0, 99))
def test_any_order(destination: Destination, found: list[dict[str, Any]], seed: int) -> None:
    """Law 4: every order of the records and every split into pages, batches and commits gives the same table."""
    draw = random.Random(seed)
    declared = (("k", "bigint"), ("v", "bigint"), ("t", "text"), ("x", "bigint"))
    seen = []
    for shuffled in (False, True):
        rules = StreamSpec(stream=f"h{next(_streams)}", declared=declared)
        texts = spelt(draw.sample(found, len(found)) if shuffled else found)
        with Api(Pages(texts, draw)) as api:
            sizes: dict[str, Any] = {"batch_bytes": 50, "commit_bytes": 100} if shuffled else {}
            fetch(destination, api, PAGES, rules=rules, **sizes)
        seen.append(table(destination, rules.stream))
    assert seen[0] == seen[1]


@FEW
@given(found=st.lists(lines, max_size=12))
def test_nothing_lost(destination: Destination, found: list[bytes]) -> None:
    """Law 3: records read = rows landed + duplicates + quarantined, whatever the bytes, line by line."""
    rules = StreamSpec(stream=f"h{next(_streams)}")
    with Api(lambda _: Said(body=b"\n" + b"\n".join(found) + b"\n")) as api:
        landed = fetch(destination, api, {"format": "ndjson"}, rules=rules)
    for read, new, duplicates, rejected in ledger(destination, rules.stream):
        assert read == new + duplicates + rejected
    if landed.total("landed"):
        assert len(table(destination, rules.stream)) == landed.total("landed")
    assert len(quarantined(destination, rules.stream)) == landed.total("quarantined")
