"""Parents and children: every child of every parent is a record of its own, however the API answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.doctor.examine import examine
from penstock.errors import ProjectError, SourceError
from penstock.lake.lake_writer import LakeWriter
from penstock.ports import Destination
from penstock.project import Http, load_project
from penstock.spec import StreamSpec
from tests.support.api import Api, Asked, Said, said
from tests.support.examples import examples
from tests.support.fetching import fetch, ids, source_of
from tests.support.lake import load_from, load_source
from tests.support.warehouse import ledger, quarantined, table

BERTHS: dict[str, Any] = {"path": "harbours/{parent.code}/berths", "parent": {"endpoint": "harbours", "field": "code"}}
HARBOURS: dict[str, Any] = {"harbours": {}}


def harbours(*codes: Any, berths: int = 2) -> Callable[[Asked], Said]:
    """An API whose harbours each have berths of the same numbers, which do not say whose they are."""

    def answer(asked: Asked) -> Said:
        if asked.path == "/harbours":
            return said([{"code": code, "name": f"harbour {code}"} for code in codes])
        return said([{"berth": n} for n in range(berths)])

    return answer


def pairs(destination: Destination, *names: str) -> list[tuple[Any, ...]]:
    """Some columns of the rows, in order."""
    return sorted((tuple(r[n] for n in names) for r in table(destination, "cars")), key=str)


def test_children_of_different_parents_stay_apart(destination: Destination) -> None:
    """Each record has its parent's key, by default under the endpoint's and the field's name."""
    with Api(harbours("A", "B", "C")) as api:
        landed = fetch(destination, api, BERTHS, others=HARBOURS)
        assert (landed.total("read"), landed.total("landed"), landed.total("duplicates")) == (6, 6, 0)
        assert fetch(destination, api, BERTHS, others=HARBOURS).total("landed") == 0
    assert pairs(destination, "berth", "harbours_code") == [(n, c) for n in (0, 1) for c in "ABC"]


def test_fields_by_names_of_their_own(local: Destination) -> None:
    """``include`` names the key, and more of the parent, as it is wanted; numbers keep their digits."""
    answers = {
        "/harbours": b'[{"code": 1.50, "at": {"lat": 53.10, "of": ["x"]}}]',
        "/harbours/1.50/berths": b'[{"n":1}]',
    }
    with Api(lambda asked: Said(body=answers[asked.path])) as api:
        include = {"harbour_code": "code", "latitude": "at.lat", "place": "at", "depth": "at.depth"}
        parent = {**BERTHS["parent"], "include": include}
        source = source_of(api, {**BERTHS, "parent": parent}, others=HARBOURS)
        (body,) = [b.as_py() for batch in source.read({}) for b in batch.bodies]
    assert body == (b'{"n":1,"harbour_code":1.50,"latitude":53.10,"place":{"lat":53.10,"of":["x"]},"depth":null}')
    (warning,) = source.warnings
    assert "depth" in warning and "include" in warning


def test_a_key_that_is_none_over_all_parents(local: Destination) -> None:
    """Children that a key takes for one are told, with what to add; content, or the parent's key in it, takes none."""
    with Api(harbours("A", "B")) as api:
        for identity, told in (((), False), (("berth", "harbours_code"), False), (("berth",), True)):
            source = source_of(api, BERTHS, others=HARBOURS, identity=identity)
            assert sum(len(batch.bodies) for batch in source.read({})) == 4
            assert bool(source.warnings) == told
        (warning,) = source.warnings
        assert "the same berth" in warning and "add harbours_code to identity" in warning


KEYS = st.one_of(
    st.text(min_size=1, max_size=6),
    st.integers(-(10**25), 10**25),
    st.booleans(),
    st.sampled_from(["a/b", "?x=1", "#", "%2F", "ä ö", "\u2028", '"', "\\", "..a", "a.", " ", "\x00", "😀", "null"]),
)
TREES = st.dictionaries(
    KEYS.filter(lambda k: k not in (".", "..")).map(lambda k: json.dumps(k)),
    st.dictionaries(
        KEYS.filter(lambda k: k not in (".", "..")).map(lambda k: json.dumps(k)), st.integers(0, 3), max_size=3
    ),
    max_size=3,
)


@settings(max_examples=examples(15), deadline=None)
@given(TREES)
def test_the_product_of_any_tree(tree: Mapping[str, Mapping[str, int]]) -> None:
    """Of three levels of anything, each record of the lowest one comes once, with the keys of those above it."""

    def text(key: str) -> str:
        value = json.loads(key)
        return key if not isinstance(value, str) else value

    def answer(asked: Asked) -> Said:
        steps = [unquote(step) for step in asked.path.split("/")[1:]]
        if steps == ["countries"]:
            bodies = [f'{{"id": {key}}}' for key in tree]
        else:
            places = next(h for key, h in tree.items() if text(key) == steps[1])
            bodies = [f'{{"code": {key}}}' for key in places]
            if len(steps) == 5:
                count = next(n for key, n in places.items() if text(key) == steps[3])
                bodies = [f'{{"berth": {n}}}' for n in range(count)]
        return Said(body=("[" + ",".join(bodies) + "]").encode())

    # what a request cannot tell apart, such as 1 and "1", an API cannot either
    if len({text(k) for k in tree}) < len(tree) or any(len({text(k) for k in h}) < len(h) for h in tree.values()):
        return
    endpoint = {
        "path": "countries/{parent.country}/harbours/{parent.code}/berths",
        "parent": {"endpoint": "harbours", "field": ["country", "code"]},
    }
    others = {
        "countries": {},
        "harbours": {
            "path": "countries/{parent.id}/harbours",
            "parent": {"endpoint": "countries", "field": "id", "include": {"country": "id"}},
        },
    }
    with Api(answer) as api:
        source = source_of(api, endpoint, others=others)
        bodies = [json.loads(b.as_py()) for batch in source.read({}) for b in batch.bodies]
    wanted = [
        {"berth": n, "harbours_code": json.loads(code), "country": json.loads(country)}
        for country, places in tree.items()
        for code, count in places.items()
        for n in range(count)
    ]
    key = lambda record: json.dumps(record, sort_keys=True)  # noqa: E731 - for both lists
    assert sorted(map(key, bodies)) == sorted(map(key, wanted))
    assert (source.failures, source.warnings) == ([], [])


def test_a_record_that_has_the_field_itself() -> None:
    """An equal value stays as it is; another one is an error that names the field, and nothing is written over."""
    own: dict[str, Any] = {"berth": 1, "harbours_code": "7"}

    def answer(asked: Asked) -> Said:
        return said([{"code": 7}] if asked.path == "/harbours" else [own, {"deep": {"harbours_code": 8}}])

    def read(endpoint: Mapping[str, Any]) -> list[Any]:
        source = source_of(api, endpoint, others=HARBOURS)
        return [json.loads(b.as_py()) for batch in source.read({}) for b in batch.bodies]

    with Api(answer) as api:
        assert [record["harbours_code"] for record in read(BERTHS)] == ["7", 7]
        for other in ("8", None, {"code": 7}):
            own["harbours_code"] = other
            with pytest.raises(SourceError, match="another value in harbours_code than its parent's") as raised:
                read(BERTHS)
            assert "include" in raised.value.fix
        renamed = read({**BERTHS, "parent": {**BERTHS["parent"], "include": {"of": "code"}}})
        assert [(record.get("harbours_code"), record["of"]) for record in renamed] == [({"code": 7}, 7), (None, 7)]


ODD = [None, "", {"a": 1}, [1], "..", "\ud800"]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_a_parent_without_a_usable_key_is_told(local: Destination, odd: Any) -> None:
    """The children of the others land; a warning names the record and what is wrong with its key."""
    with Api(harbours("A", odd, "B/ö")) as api:
        landed = fetch(local, api, BERTHS, others=HARBOURS)
        assert landed.total("landed") == 4
        (warning,) = landed.warnings
        assert "GET /harbours#2" in warning and "code" in warning
        assert {a.path for a in api.asked} == {"/harbours", "/harbours/A/berths", "/harbours/B%2F%C3%B6/berths"}


def test_no_parent_has_the_field(local: Destination) -> None:
    """A field that no parent has is a mistake in the project file."""
    endpoint = {"path": "harbours/{parent.cod}/berths", "parent": {"endpoint": "harbours", "field": "cod"}}
    with (
        Api(harbours("A", "B")) as api,
        pytest.raises(SourceError, match="no record of harbours has the field cod; the answer has code, name"),
    ):
        fetch(local, api, endpoint, others=HARBOURS)


@pytest.mark.parametrize("format_", ["ndjson", "csv", "parquet"])
def test_the_lake_and_the_quarantine_have_the_keys(both: list[Destination], tmp_path: Path, format_: Any) -> None:
    """From the lake come the same rows and the same rejects; what is replayed from quarantine has its parent too."""
    rules = StreamSpec(stream="cars", declared=(("berth", "bigint"),), types="reject")

    def answer(asked: Asked) -> Said:
        if asked.path == "/harbours":
            return said([{"code": "A"}, {"code": "B"}])
        return said([{"berth": 1}, {"berth": "one"}, *([7] if "A" in asked.path else [])])

    first, second = both
    with Api(answer) as api:
        writer = LakeWriter(tmp_path, "cars", format_, warehouse="test")
        load_source(source_of(api, BERTHS, others=HARBOURS), first, rules, lake=writer)
        load_from(tmp_path, second, rules)
    assert ledger(first, "cars") == ledger(second, "cars") == [(5, 2, 0, 3)]
    assert table(first, "cars") == table(second, "cars")
    assert (
        set(quarantined(first, "cars"))
        == set(quarantined(second, "cars"))
        == {
            b'{"berth": "one","harbours_code":"A"}',
            b'{"berth": "one","harbours_code":"B"}',
            b"7",
        }
    )


def test_rows_of_csv(local: Destination) -> None:
    """Children in CSV get their parent's key as a text, which is typed as the other texts are."""

    def answer(asked: Asked) -> Said:
        return said([{"code": 7}, {"code": 8}]) if asked.path == "/harbours" else Said(body=b"berth\n1\n2\n")

    with Api(answer) as api:
        fetch(local, api, {**BERTHS, "format": "csv"}, others=HARBOURS)
    assert pairs(local, "berth", "harbours_code") == [(1, 7), (1, 8), (2, 7), (2, 8)]


def test_a_child_that_cannot_be_read_stops_no_other(destination: Destination) -> None:
    """The children of the other parents land, the failure is told, and the next load goes on at the one that failed."""
    bad = {"/harbours/B/berths", "/harbours/D/berths"}

    healthy = harbours(*"ABCDE")

    def answer(asked: Asked) -> Said:
        return Said(status=400, body=b"out of order") if asked.path in bad else healthy(asked)

    with Api(answer) as api:
        landed = fetch(destination, api, BERTHS, others=HARBOURS)
        assert sorted(set(ids(destination, column="harbours_code"))) == ["A", "C", "E"]
        assert ["/B/" in str(f) for f in landed.failures] == [True, False]
        assert "/D/" in str(landed.failures[1]) and "out of order" in str(landed.failures[1])
        bad.clear()
        before = len(api.asked)
        assert fetch(destination, api, BERTHS, others=HARBOURS).total("landed") == 4
        assert {a.path for a in api.asked[before:]} == {"/harbours", *(f"/harbours/{c}/berths" for c in "BCDE")}
        assert fetch(destination, api, BERTHS, others=HARBOURS).failures == []
    assert len(ids(destination, column="harbours_code")) == 10


def test_children_that_all_cannot_be_read(local: Destination) -> None:
    """Ten failures in a row are not the parents' own: the load ends, and does not ask for all the others."""
    with Api(
        lambda a: harbours(*range(100))(a) if a.path == "/harbours" else Said(status=403, body=b"not yours")
    ) as api:
        with pytest.raises(SourceError, match="not yours"):
            fetch(local, api, BERTHS, others=HARBOURS)
        assert len(api.asked) < 40


def test_a_page_of_parents_that_cannot_be_read(local: Destination) -> None:
    """The children of the parents on the other pages land."""

    def answer(asked: Asked) -> Said:
        if asked.path != "/harbours":
            return harbours()(asked)
        number = asked.page()
        return Said(status=400) if number == 2 else said([{"code": 10 * number}] if number < 4 else [])

    with Api(answer) as api:
        landed = fetch(local, api, BERTHS, others={"harbours": {"pagination": "page"}})
        assert ids(local, column="harbours_code") == [10, 10, 30, 30]
        (failure,) = landed.failures
        assert "page=2" in str(failure)


def test_a_tree_is_gone_on_with_where_a_load_broke_off(local: Destination) -> None:
    """However often a load of three levels is cut short, in the end each record has landed once."""
    left = [0]

    def answer(asked: Asked) -> Said:
        left[0] -= 1
        if left[0] < 0:
            return Said(status=401)
        steps = asked.path.split("/")[1:]
        if len(steps) == 5:
            return said([{"berth": 2 * asked.page() + n} for n in range(2)] if asked.page() < 3 else [])
        name = "code" if len(steps) == 3 else "id"
        return said([{name: 2 * asked.page() + n} for n in range(2)] if asked.page() < 3 else [])

    endpoint = {
        "path": "countries/{parent.countries_id}/harbours/{parent.code}/berths",
        "parent": {"endpoint": "harbours", "field": ["countries_id", "code"]},
    }
    others = {
        "countries": {},
        "harbours": {"path": "countries/{parent.id}/harbours", "parent": {"endpoint": "countries", "field": "id"}},
    }
    with Api(answer) as api:
        for _ in range(40):
            left[0] = 25
            try:
                fetch(local, api, endpoint, others=others, pagination="page", concurrency=2, commit_bytes=0)
            except SourceError:
                continue
            break
    assert len(ids(local, column="berth")) == 4**3
    assert sum(read for read, *_ in ledger(local, "cars")) < 3 * 4**3


PROJECT = """
name: api
destinations: { local: { type: duckdb, path: w.duckdb } }
sources:
  api:
    type: http
    base_url: %s
    endpoints: %s
streams:
  berths: { from: api }
transform: false
"""


def test_doctor_asks_the_child_too(tmp_path: Path) -> None:
    """The doctor asks a parent that has children for them, and says what is wrong with the children's endpoint."""
    berths = "{ path: 'harbours/{parent.code}/berths', parent: { endpoint: harbours, field: code } }"

    def found(answer: Any) -> str:
        with Api(answer) as api:
            (tmp_path / "penstock.yml").write_text(PROJECT % (api.url, "{ harbours: {}, berths: " + berths + " }"))
            (check,) = [c for c in examine(tmp_path, None) if c.name == "source api of berths"]
            return f"{check.ok} {check.detail} {check.fix}"

    assert found(harbours("A", "B")).startswith("True GET /harbours/A/berths: 2 records")
    assert "True GET /harbours/B/berths: 2" in found(
        lambda a: Said(status=404) if "/A/" in a.path else harbours("A", "B")(a)
    )
    assert "False" in found(lambda a: Said(status=403) if "berths" in a.path else harbours("A")(a))
    assert "False" in (said_404 := found(lambda a: Said(status=404) if "berths" in a.path else harbours("A")(a)))
    assert "404" in said_404
    assert "no record of harbours" in found(harbours())
    assert "GET /harbours#1" in found(harbours(None, "B"))


CIRCLE = "{ berths: { path: 'x/{parent.id}', parent: { endpoint: a, field: id } }, a: { path: 'a/{parent.id}', "
WRONG = {
    CIRCLE + "parent: { endpoint: berths, field: id } } }": "for each of its own records",
    CIRCLE + "parent: { endpoint: a, field: id } } }": "for each of its own records",
    "{ a: {}, berths: { path: 'x/{parent.id}', parent: { endpoint: a, field: [id, code] } } }": "{parent.code}",
    "{ a: {}, berths: { path: 'x/{parent.id}', parent: { endpoint: a, field: id, include: { a_id: code } } } }": "both",
}


@pytest.mark.parametrize("endpoints", WRONG)
def test_what_is_wrong_with_parents(tmp_path: Path, endpoints: str) -> None:
    """Parents that cannot work are an error of the project file, with its line."""
    (tmp_path / "penstock.yml").write_text(PROJECT % ("http://127.0.0.1:1", endpoints))
    with pytest.raises(ProjectError) as raised:
        load_project(tmp_path)
    assert WRONG[endpoints] in str(raised.value)
    assert "penstock.yml:" in str(raised.value)


def test_names_of_several_levels() -> None:
    """A field keeps the name that the parent has it under."""
    api = Http.model_validate(
        {
            "type": "http",
            "base_url": "http://h",
            "endpoints": {
                "a": {},
                "b": {"path": "{parent.x.id}", "parent": {"endpoint": "a", "field": "x.id"}},
                "c": {
                    "path": "{parent.n}",
                    "parent": {"endpoint": "b", "field": "n", "include": {"mine": "n", "more": "k"}},
                },
                "d": {"path": "{parent.a_x_id}", "parent": {"endpoint": "c", "field": "a_x_id"}},
            },
        }
    )
    assert api.included("a") == {}
    assert api.included("b") == {"a_x_id": "x.id"}
    assert api.included("c") == {"mine": "n", "more": "k", "a_x_id": "a_x_id"}
    assert api.included("d") == {"a_x_id": "a_x_id", "mine": "mine", "more": "more"}
