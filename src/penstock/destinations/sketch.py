"""A Bloom filter of identities: Bloom, "Space/time trade-offs in hash coding with allowable errors", 1970."""

from __future__ import annotations

from typing import Any

import numpy as np

_BITS = 1 << 28
_MASK = np.uint64(_BITS - 1)
_HALF = np.uint64(28)


class Sketch:
    """Which of 32 MiB of bits the identities set, four each: what is in it is always told, and what is not is taken for
    it in one of 20,000 cases with 6 million rows in it, in one of 500 with 16 million, in one of 60 with 30 million.

    Identities are hashes already, so their upper halves (``uint64``) are taken as they are.
    """

    def __init__(self) -> None:
        self._bytes = np.zeros(_BITS >> 3, dtype=np.uint8)

    def add(self, high: Any) -> None:
        """Put identities into it."""
        for bits in _places(high):
            places, masks = _byte_and_mask(bits)
            # of several that meet in one byte, a statement sets the last one's bit
            while len(places):
                self._bytes[places] |= masks
                unset = (self._bytes[places] & masks) == 0
                places, masks = places[unset], masks[unset]

    def maybe(self, high: Any) -> Any:
        """For each identity, whether it may be in it; False is certain."""
        here = np.ones(len(high), dtype=bool)
        for bits in _places(high):
            places, masks = _byte_and_mask(bits)
            here &= (self._bytes[places] & masks) != 0
        return here


def _places(high: Any) -> tuple[Any, ...]:
    """Four numbers of bits for each identity, by double hashing (Kirsch and Mitzenmacher, 2006)."""
    first, step = high & _MASK, (high >> _HALF) & _MASK | np.uint64(1)
    return tuple((first + np.uint64(i) * step) & _MASK for i in range(4))


def _byte_and_mask(bits: Any) -> tuple[Any, Any]:
    return (bits >> np.uint64(3)).astype(np.int64), np.uint8(1) << (bits & np.uint64(7)).astype(np.uint8)
