"""Random numbers by number: the draw for a thing is a function of the seed, the purpose and the thing's number."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.uint64]


class Draw:
    """Hashes as draws: uniform 64-bit numbers for a purpose and a number, the same for ever."""

    def __init__(self, seed: int) -> None:
        self._seed = seed & 0xFFFF_FFFF_FFFF_FFFF

    def __call__(self, purpose: str, number: Numbers, step: int | Numbers = 0) -> Numbers:
        salt = self._seed
        for byte in purpose.encode():
            salt = (salt * 0x0000_0100_0000_01B3 ^ byte) & 0xFFFF_FFFF_FFFF_FFFF
        offset = np.asarray(step, dtype=np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15)
        return _mixed(_mixed(number ^ np.uint64(salt)) + offset)

    def share(self, purpose: str, number: int) -> float:
        """One draw for one number, from 0 up to 1."""
        drawn = self(purpose, np.array([number], dtype=np.uint64))
        return float(drawn[0] >> np.uint64(11)) / (1 << 53)


def _mixed(x: Numbers) -> Numbers:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014), one step on."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E37_79B9_7F4A_7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
        return x ^ (x >> np.uint64(31))
