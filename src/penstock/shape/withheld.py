"""What a stream drops, kept away from where whole records go: quarantine and the lake."""

from __future__ import annotations

from uuid import uuid4

from penstock.layout import Layout
from penstock.shape.digits import Refused, written
from penstock.shape.strict import pieces

_WITHHELD = b"withheld:"


def without_dropped(body: bytes, layout: Layout, origin: str) -> bytes:
    """A body for quarantine: as it came when nothing is dropped. For what is no JSON, where dropped fields cannot be
    told from others, a note stands; no two records of a place that does not number them share one."""
    if not layout.drop or body.startswith(_WITHHELD):
        return body
    try:
        values = [layout.kept(value) for value, _, _ in pieces(body.decode("utf-8"))]
    except (UnicodeDecodeError, Refused):
        numbered = origin.rpartition("#")[2].isdecimal()
        which = origin if numbered else f"{origin} ({uuid4()})"
        return b"%s %d bytes of %s, which may hold fields that the stream drops" % (
            _WITHHELD,
            len(body),
            which.encode(),
        )
    return b"\n".join(written(value).encode("utf-8", "surrogatepass") for value in values)
