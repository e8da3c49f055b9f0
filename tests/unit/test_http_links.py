"""The header ``Link`` is read by its grammar (RFC 8288)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.sources.http.links import next_link

PAGE = "http://h/cars"
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
TRAPS = st.sampled_from(['; rel="next"', ', </trap>; rel="next"', "rel=next", '"', "\\", "<", ">", ";", ","])
QUOTED = st.lists(st.one_of(TEXTS, TRAPS), max_size=3).map("".join)


@st.composite
def link_values(draw: st.DrawFn, target: str, rel: str) -> str:
    """A link with its ``rel`` somewhere among parameters that hold anything."""
    others = draw(st.lists(st.tuples(st.sampled_from(["title", "type", "x-note"]), QUOTED), max_size=3))
    quoted = [f'{name}="' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for name, text in others]
    plain = [*quoted, draw(st.sampled_from([f'rel="{rel}"', f"rel={rel}", f'REL = "{rel}"', f'rel="x {rel}"']))]
    space = draw(st.sampled_from(["", " ", "  "]))
    return f"<{target}>" + "".join(f"{space};{space}{parameter}" for parameter in draw(st.permutations(plain)))


@given(st.data(), st.permutations(["prev", "first", "next", "last"]))
def test_the_next_link_among_others(data: st.DataObject, rels: list[str]) -> None:
    """Whatever other links and parameters hold, in quotes or not, the link whose ``rel`` is ``next`` is taken."""
    header = ", ".join(data.draw(link_values(f"/{rel}?a=1,2;3", rel)) for rel in rels)
    assert next_link(header, PAGE) == "/next?a=1,2;3"
    without = ", ".join(data.draw(link_values(f"/{rel}", rel)) for rel in rels if rel != "next")
    assert next_link(without, PAGE) is None


@given(st.lists(st.one_of(TEXTS, TRAPS, st.sampled_from(["</a>", "rel", "="])), max_size=8).map("".join))
def test_any_text_is_read(header: str) -> None:
    """A header that is no list of links is no error."""
    next_link(header, PAGE)


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ('</v1?page=2>; title="shelf 7; rel=shelf, left"; rel="next"', "/v1?page=2"),
        ('<a>; rel=prev, <b;,c>; title="x, y"; rel="last next"', "b;,c"),
        ('<a>; rel="prev"; rel="next", <b>; rel="next"', "b"),
        ('<a>; rel="\\ne\\xt"', "a"),
        ('junk "<x>; rel=next", <c>;; rel=next', "c"),
        ('<a>; title="<b>; rel=next"', None),
        ('<a>; rel="next"; anchor="/trucks", <b>; rel="next"; anchor=""', "b"),
        ("<a>; rel=nextish", None),
        ("<a>, ; rel=next", None),
        ("", None),
    ],
)
def test_links(header: str, target: str | None) -> None:
    """Of several parameters of a name the first counts, and a link about another page is not meant."""
    assert next_link(header, PAGE) == target
