"""The name someone probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of ``names`` most like ``name``, or None when none is like it."""
    by_lower = {n.lower(): n for n in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.55)
    return by_lower[close[0]] if close else None


def hint(name: str, names: Iterable[str]) -> str:
    """The end of a sentence about a ``name`` that is none: the nearest one, or else all there are."""
    known = sorted(names)
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else f"; there is {', '.join(known)}" if known else ""
