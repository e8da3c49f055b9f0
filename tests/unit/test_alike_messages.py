"""Messages that are split by the outline of the one before: they come out as if each were split by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.sources.rabbitmq.alike import AlikeMessages
from penstock.sources.rabbitmq.amqp1 import is_plain, split_message
from tests.support.streams import data, with_id

_ENCODED = b"\0\x53\x73\xc0\x10\x08\xa1\x01i@@@@@@\xa3\x04gzip"
_EVENT = b"\0\x53\x74\xc1\x13\x02\xa1\x0ecloudEvents:id\xa1\x01x"

_bodies = st.binary(max_size=40)
_alike = st.builds(with_id, st.integers(0, 10**8 - 1), _bodies)
_others = st.one_of(
    st.builds(data, _bodies),
    st.builds(lambda body: _ENCODED + data(body), _bodies),
    st.builds(lambda body: _EVENT + data(body), _bodies),
    st.builds(lambda body: data(body) + data(body), _bodies),
    _bodies,
)


@st.composite
def _broken(draw: st.DrawFn) -> bytes:
    """One byte changed, or cut off somewhere."""
    message = bytearray(draw(_alike))
    at = draw(st.integers(0, len(message) - 1))
    if draw(st.booleans()):
        return bytes(message[:at])
    message[at] = draw(st.integers(0, 255))
    return bytes(message)


_messages = st.lists(st.one_of(_alike, _alike, _others, _broken()), max_size=12)


@given(_messages, st.integers(0, 12))
def test_as_each_by_itself(messages: list[bytes], first: int) -> None:
    """Whatever came before, in the same chunk or in another one."""
    alike = AlikeMessages()
    for part in (messages[:first], messages[first:]):
        heads, bodies, plain = alike.split(part)
        assert list(zip(heads, bodies, strict=True)) == [split_message(message) for message in part]
        assert plain == all(is_plain(head) for head in heads)


def test_an_id_says_nothing_of_the_body() -> None:
    """An id that looks like an attribute of an event, or like a section, is an id."""
    alike = AlikeMessages()
    for id_ in (b"an-id-with-more", b"\0\x53\x75\xb0\0\0\0\1\0\x53\x75\xb0\0\0\0", b"cloudevents:abc"):
        items = b"\xa1" + bytes([len(id_)]) + id_ + b"@@@@@@"
        message = b"\0\x53\x73\xc0" + bytes([len(items) + 1, 7]) + items + data(b"{}")
        (head,), (body,), plain = alike.split([message])
        assert (head + data(b"{}"), body, plain) == (message, b"{}", True)
