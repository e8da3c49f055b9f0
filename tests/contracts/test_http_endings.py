"""Where a list ends: what answers say of it may be missing, wrong or late, and no record is lost for that."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.doctor.examine import examine
from penstock.errors import SourceError
from penstock.ports import Destination
from tests.support.api import Api, Asked, Said, said
from tests.support.examples import examples
from tests.support.fetching import fetch, ids, source_of
from tests.support.fixtures import whichever as destination

__all__ = ["destination"]  # a fixture

RECORDS = [{"id": n} for n in range(100)]


def listed(count: int, size: int, **around: Any) -> Callable[[Asked], Said]:
    """So many records, in pages by number or offset; ``around`` are members or functions of the records' numbers."""

    def answer(asked: Asked) -> Said:
        first = int(asked.query["offset"]) if "offset" in asked.query else (asked.page() - 1) * size
        records = RECORDS[:count][first : first + size]
        more = {k: v(first, len(records)) if callable(v) else v for k, v in around.items()}
        return said({"data": records, **{k: v for k, v in more.items() if v is not ...}})

    return answer


def read(api: Api, pagination: dict[str, Any], **more: Any) -> tuple[list[int], Any]:
    """The numbers of the records that a load gives, and its source."""
    source = source_of(api, {"records": "data", "pagination": pagination}, **more)
    return [json.loads(b.as_py())["id"] for batch in source.read({}) for b in batch.bodies], source


TOTALS: dict[str, Any] = {
    "right": lambda count, *_: count,
    "text": lambda count, *_: str(count),
    "fraction": lambda count, *_: f"{count}.0",
    "missing": lambda *_: ...,
    "null": lambda *_: None,
    "words": lambda *_: "many",
    "object": lambda *_: {"value": 7},
    "true": lambda *_: True,
    "huge": lambda *_: 10**400,
    "not a number": lambda *_: float("nan"),
    "negative": lambda *_: -1,
    "nothing": lambda *_: 0,
    "too small": lambda count, *_: max(count - 1, 0),
    "too large": lambda count, *_: count + 1_000,
    "of the page": lambda count, first, here: here,
    "of those before": lambda count, first, here: first,
    "on the first page only": lambda count, first, here: count if first == 0 else ...,
    "on the last page only": lambda count, first, here: count if first + here == count else ...,
}


@pytest.mark.parametrize("kind", TOTALS)
@settings(max_examples=examples(6), deadline=None)
@given(st.integers(0, 13), st.integers(1, 5), st.booleans(), st.sampled_from(["page", "offset"]))
def test_whatever_a_total_says(kind: str, count: int, size: int, sized: bool, type_: str) -> None:
    """All records come, once each, whatever an answer says about their number."""
    pagination: dict[str, Any] = {"type": type_, "total": "total"}
    if type_ == "offset":
        pagination["limit"] = size if sized else 1_000
    elif sized:
        pagination |= {"size": size, "size_param": "size"}
    with Api(listed(count, size, total=lambda first, here: TOTALS[kind](count, first, here))) as api:
        found, _ = read(api, pagination)
        assert found == list(range(count))


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("missing", "total finds nothing at total; the answer has data"),
        ("words", '"many"'),
        ("too small", "there were more"),
        ("too large", "no more than 7 came"),
    ],
)
def test_a_total_that_is_wrong_is_told(local: Destination, kind: str, word: str) -> None:
    """What looks like a mistake in the settings is a warning that names the setting."""
    with Api(listed(7, 3, total=lambda first, here: TOTALS[kind](7, first, here))) as api:
        landed = fetch(local, api, {"records": "data", "pagination": {"type": "offset", "limit": 3, "total": "total"}})
    assert landed.total("landed") == 7
    (warning,) = landed.warnings
    assert word in warning and "total" in warning and "mend" in warning


@pytest.mark.parametrize("kind", ["right", "text", "null", "on the first page only"])
def test_a_total_that_is_right_is_no_warning(local: Destination, kind: str) -> None:
    """Of a total that can be used, or that the API leaves open, nothing is said."""
    with Api(listed(7, 3, total=lambda first, here: TOTALS[kind](7, first, here))) as api:
        pagination = {"type": "page", "total": "total"}
        assert fetch(local, api, {"records": "data", "pagination": pagination}).warnings == []


def test_a_number_of_pages_that_is_wrong(local: Destination) -> None:
    """One that is too small does not end the list at a full page; nothing is looked for behind a short one."""
    for pages, count in ((1, 9), (2, 9), (3, 8)):
        with Api(listed(count, 3, pages=pages)) as api:
            found, source = read(api, {"type": "page", "pages": "pages"})
            assert found == list(range(count))
            assert bool(source.warnings) == (pages < 3)
            assert max(a.page() for a in api.asked) == (4 if pages < 3 else 3) or pages < 3


@pytest.mark.parametrize("status", [400, 404, 410, 416, 422, 500])
def test_any_error_behind_the_told_end_is_the_end(status: int) -> None:
    """Where a full page is the last one as told, an error behind it only says that there is nothing."""

    def answer(asked: Asked) -> Said:
        return listed(6, 3, total=6)(asked) if asked.page() < 3 else Said(status=status)

    with Api(answer) as api:
        found, source = read(api, {"type": "page", "total": "total"})
        assert (found, source.warnings) == (list(range(6)), [])


def beyond(status: int, body: bytes = b"out of range") -> Callable[[Asked], Said]:
    """Two full pages, and an error for each page behind them."""
    return lambda asked: listed(6, 3)(asked) if int(asked.query["offset"]) < 6 else Said(status=status, body=body)


@pytest.mark.parametrize("status", [400, 416, 422])
def test_an_error_behind_the_last_page(destination: Destination, status: int) -> None:
    """It may as well say that the list is too deep: it is an error that names the setting, which makes it the end."""
    with Api(beyond(status)) as api:
        pagination: dict[str, Any] = {"type": "offset", "limit": 3}
        for _ in range(2):
            with pytest.raises(SourceError, match=f"status {status}") as raised:
                fetch(destination, api, {"records": "data", "pagination": pagination})
            assert f"end_status: [{status}]" in raised.value.fix
            assert ids(destination) == list(range(6))
        pagination["end_status"] = [status]
        landed = fetch(destination, api, {"records": "data", "pagination": pagination}, disposition="append")
        assert (landed.failures, landed.warnings) == ([], [])
        api.answer = lambda _: Said(status=status)
        with pytest.raises(SourceError):
            fetch(destination, api, {"records": "data", "pagination": pagination})


def clamped(pages: list[int]) -> Callable[[Asked], Said]:
    """An API that answers its last page for every page behind it."""
    return lambda asked: said({"data": RECORDS[min(asked.page(), pages[0]) * 5 - 5 : min(asked.page(), pages[0]) * 5]})


@pytest.mark.parametrize("ends", [False, True])
def test_a_last_page_that_is_answered_again(destination: Destination, ends: bool) -> None:
    """Pages that nobody has seen are asked for once there are any, however often a load met the last page instead."""
    pages = [1]
    pagination = {"type": "page", "size_param": "per_page", "size": 5, "end_repeats": ends}
    with Api(clamped(pages)) as api:
        for count in (1, 2, 2, 6):
            pages[0] = count
            try:
                fetch(destination, api, {"records": "data", "pagination": pagination})
                assert ends
            except SourceError as e:
                assert not ends and "end_repeats" in e.fix
            assert ids(destination) == list(range(5 * count))


def test_a_position_stays_at_what_only_repeats(local: Destination) -> None:
    """A load that is cut short between copies of a page asks for the first of them again."""
    answers = {1: 0, 2: 5, 3: 5}

    def answer(asked: Asked) -> Said:
        first = answers.get(asked.page())
        return Said(status=401) if first is None else said({"data": RECORDS[first : first + 5]})

    endpoint = {"records": "data", "pagination": {"type": "page"}}
    with Api(answer) as api:
        for _ in range(3):
            with pytest.raises(SourceError, match="401"):
                fetch(local, api, endpoint)
            assert ids(local) == list(range(10))
        answers.update({3: 10, 4: 15, 5: 20, 6: 100})
        fetch(local, api, endpoint)
        assert ids(local) == list(range(25))


NOWHERE: dict[str, tuple[dict[str, Any], str]] = {
    "cursor": ({"type": "cursor", "path": "meta.nxt"}, "meta.nxt; meta has next"),
    "cursor, no object": ({"type": "cursor", "path": "next.cursor"}, "next.cursor; the answer has data, meta"),
    "next link": ({"type": "next_link", "path": "links.next"}, "links.next; the answer has data, meta"),
    "more": ({"type": "cursor", "path": "meta.next", "more": "has_more"}, "has_more; the answer has data, meta"),
}


@pytest.mark.parametrize("kind", NOWHERE)
def test_a_path_that_no_answer_has_is_told(local: Destination, tmp_path: Path, kind: str) -> None:
    """One page of several does not pass for all of them in silence; the doctor says it too."""
    pagination, words = NOWHERE[kind]
    with Api(
        lambda asked: said({"data": [{"id": 1}], "meta": {"next": None if "cursor" in asked.query else "a"}})
    ) as api:
        (warning,) = fetch(local, api, {"records": "data", "pagination": pagination}).warnings
        assert words in warning
        assert "pagination" in warning


def test_a_cursor_that_ends(local: Destination) -> None:
    """Null, an empty text, or no cursor at all on the last page is the end, and nothing to tell."""
    for last in ({"next": None}, {"next": ""}, {}):

        def answer(asked: Asked, last: dict[str, Any] = last) -> Said:
            return said(
                {"data": [{"id": 2}], **last} if "cursor" in asked.query else {"data": [{"id": 1}], "next": "a"}
            )

        with Api(answer) as api:
            landed = fetch(local, api, {"records": "data", "pagination": {"type": "cursor", "path": "next"}})
            assert (landed.total("read"), landed.warnings) == (2, [])
    with Api(lambda _: said({"data": []})) as api:
        landed = fetch(local, api, {"records": "data", "pagination": {"type": "cursor", "path": "next"}})
        assert (landed.total("read"), landed.warnings) == (0, [])


@pytest.mark.parametrize("more", [True, "true", 1])
def test_more_without_a_cursor(more: Any) -> None:
    """An answer that says that there is more, and not where, is an error."""
    pagination = {"type": "cursor", "path": "next", "more": "more"}
    with Api(lambda _: said({"data": [{"id": 1}], "more": more, "next": None})) as api:
        with pytest.raises(SourceError, match="more says that there is more, and there is no cursor at next"):
            read(api, pagination)
        for no in (False, "false", "0", None):
            api.answer = partial(lambda no, _: said({"data": [{"id": 1}], "more": no, "next": "a"}), no)
            assert read(api, pagination)[0] == [1]


@pytest.mark.parametrize(
    "link", ["http://[", "ftp://h/x", "mailto:me", "http://", "http://h:99999999/", "javascript:1", 7, {}]
)
@pytest.mark.parametrize("where", ["body", "header"])
def test_a_next_link_that_leads_nowhere(link: Any, where: str) -> None:
    """It is an error that says so, not the end and no traceback."""
    headers = {"Link": f'<{link}>; rel="next"'} if where == "header" else {}
    with Api(lambda _: said({"data": [{"id": 1}], "next": link}, headers=headers)) as api:
        type_ = "link_header" if where == "header" else "next_link"
        if where == "header" and not isinstance(link, str):
            return
        with pytest.raises(SourceError, match="link"):
            read(api, {"type": type_})


def test_a_page_that_the_api_names_and_does_not_have(local: Destination) -> None:
    """404 at a cursor or a link that an answer gave is a page that is missing, not the end."""

    def answer(asked: Asked) -> Said:
        return Said(status=404) if asked.query else said({"data": [{"id": 1}], "next": "?a=1"})

    with Api(answer) as api:
        for pagination in ({"type": "next_link"}, {"type": "cursor", "path": "next"}):
            with pytest.raises(SourceError, match="404") as raised:
                fetch(local, api, {"records": "data", "pagination": pagination})
            assert "named this page itself" in raised.value.fix


def test_an_empty_list_that_is_left_out(local: Destination) -> None:
    """With ``allow_missing``, an answer without its list of records has none."""
    with Api(lambda asked: said({"data": [{"id": 1}], "n": 1} if asked.page() == 1 else {"n": 0})) as api:
        endpoint = {"records": "data", "pagination": "page"}
        with pytest.raises(SourceError) as raised:
            fetch(local, api, endpoint)
        assert "allow_missing: true" in raised.value.fix
        assert fetch(local, api, {**endpoint, "allow_missing": True}).failures == []


@pytest.mark.parametrize("location", ["http://[", "ftp://h/x"])
def test_a_redirect_that_leads_nowhere(local: Destination, location: str) -> None:
    """It is an error with a fix, whatever it is."""
    with (
        Api(lambda _: Said(status=302, headers={"location": location})) as api,
        pytest.raises(SourceError, match="no HTTP address"),
    ):
        fetch(local, api, {})


def test_doctor_says_what_looks_like_a_mistake(tmp_path: Path) -> None:
    """A cursor's path that the first page does not have is told by the doctor."""
    endpoints = "{ cars: { records: data, pagination: { type: cursor, path: nxt } } }"
    text = (
        "name: x\ndestinations: { local: { type: duckdb, path: w.duckdb } }\ntransform: false\n"
        "sources: { api: { type: http, base_url: %s, endpoints: %s } }\nstreams: { cars: { from: api } }\n"
    )
    with Api(lambda _: said({"data": [{"id": 1}], "next": "a"})) as api:
        (tmp_path / "penstock.yml").write_text(text % (api.url, endpoints))
        (check,) = [c for c in examine(tmp_path, None) if c.name == "source api of cars"]
    assert check.ok
    assert "warning: source api, endpoint cars: pagination.path finds nothing at nxt" in check.detail


def test_pages_that_differ_in_one_record() -> None:
    """A page is the same as another when all of its records are."""
    pages = [[0, 1, 2, 3, 4], [0, 9, 2, 3, 4], [0, 9, 2, 3, 4]]
    with Api(lambda asked: said({"data": [{"id": n} for n in pages[min(asked.page(), 3) - 1]]})) as api:
        found, _ = read(api, {"type": "page", "end_repeats": True})
    assert found == [0, 1, 2, 3, 4, 0, 9, 2, 3, 4]
