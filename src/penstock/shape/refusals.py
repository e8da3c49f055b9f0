"""Records that cannot land, as quarantine keeps them: their bytes as they came, and what came beside them."""

from __future__ import annotations

from penstock.ports import Batch, Reason, Reject
from penstock.shape.arrow import SUB_RECORDS
from penstock.shape.careful import without_dropped
from penstock.shape.layout import Layout

_BLANK = b" \t\r\n"


def refusal(batch: Batch, layout: Layout, order: int, body: bytes | None, code: Reason, reason: str) -> Reject:
    """A record of the batch as a reject.

    One that is all of its body is kept as that came: a message with its compression and envelope, for which its headers
    then say ``"form": "message"``; a line without the blanks around it. One of several in its body is kept apart, and
    the headers of a message say which it was: ``"part": 2``. What is replayed and refused again stays the entry it is.

    Args:
        order: its order number in the batch.
        body: its bytes, None for all of its body.
    """
    n, part = divmod(order, SUB_RECORDS)
    whole: bytes = batch.bodies[n].as_py()
    headers, entry = batch.headers(n), None
    if body is None or len(body.strip(_BLANK)) == len(whole.strip(_BLANK)):
        body = whole if headers is not None else whole.strip(_BLANK)
        if n in batch.came and headers is not None:
            body = batch.came[n]
            headers = {**headers, "form": "message"}
        entry = batch.replays[n] if batch.replays else None
    elif headers is not None:
        headers = {**headers, "part": part + 1}
    origin = batch.origin(n)
    if layout.drop:
        body = without_dropped(body, layout, origin)
    return Reject(body=body, code=code, reason=reason, origin=origin, headers=headers, entry=entry)
