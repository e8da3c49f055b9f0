"""Where records end, found by the kernel: the same places that :mod:`penstock.records.splitters` finds without it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

_BYTES_A_RECORD = 64
"""At least so many, as a guess at how many records there are."""


def line_ends(library: ctypes.CDLL, block: bytes, line_end: int) -> Any:
    """The places behind each byte ``line_end``, as 64-bit integers."""
    return _ends(block, lambda data, places: library.penstock_line_ends(data, len(block), line_end, *places))


def value_ends(library: ctypes.CDLL, block: bytes) -> Any:
    """The places behind values that stand one after the other."""
    return _ends(block, lambda data, places: library.penstock_value_ends(data, len(block), *places))


def element_ends(library: ctypes.CDLL, block: bytes) -> tuple[Any, bool]:
    """The places behind the elements of the list that is open, each with its separator; and whether it was closed."""
    closed = ctypes.c_int32()
    ends = _ends(
        block,
        lambda data, places: library.penstock_element_ends(data, len(block), *places, ctypes.addressof(closed)),
    )
    return ends, bool(closed.value)


def _ends(block: bytes, find: Callable[[bytes, tuple[int, int]], int]) -> Any:
    places = np.empty(len(block) // _BYTES_A_RECORD + 1, np.int64)
    while (count := find(block, (places.ctypes.data, len(places)))) > len(places):
        places = np.empty(count, np.int64)
    return places[:count]
