"""The kernel as it was built beside this file, if it was."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

VERSION = 3
"""What this package and a library have to agree on. It goes up with every change of the kernel."""

SWITCH = "PENSTOCK_NATIVE"
"""The variable that switches the kernel off, by ``0``."""

LIBRARY = Path(__file__).with_name("libkernel.so.1")

_POINTER, _BYTES, _SIZE, _NUMBER = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int32
_FUNCTIONS: dict[str, tuple[type | None, tuple[type, ...]]] = {
    "penstock_plan": (_POINTER, (_POINTER,)),
    "penstock_plan_free": (None, (_POINTER,)),
    "penstock_shape": (
        _SIZE,
        (_POINTER, _POINTER, _SIZE, _POINTER, _NUMBER, _SIZE, _POINTER, _POINTER, _POINTER),
    ),
    "penstock_message_identities": (_NUMBER, (_POINTER, _POINTER, _POINTER, _SIZE, _NUMBER, _POINTER)),
    "penstock_line_ends": (_SIZE, (_BYTES, _SIZE, _NUMBER, _POINTER, _SIZE)),
    "penstock_value_ends": (_SIZE, (_BYTES, _SIZE, _POINTER, _SIZE)),
    "penstock_element_ends": (_SIZE, (_BYTES, _SIZE, _POINTER, _SIZE, _POINTER)),
    "penstock_sha256": (None, (_BYTES, _SIZE, _NUMBER, _POINTER)),
}


def kernel() -> ctypes.CDLL | None:
    """The kernel; None when it was not built, was built from other sources, or is switched off."""
    return None if os.environ.get(SWITCH) == "0" else _loaded()


def built() -> bool:
    """Whether there is one, switched off or not."""
    return _loaded() is not None


@cache
def _loaded() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(str(LIBRARY))
        if library.penstock_kernel_version() != VERSION:
            return None
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    return library
