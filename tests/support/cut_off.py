"""Loads in this process that end before their time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from penstock import faults


@contextmanager
def cut_off(step: str) -> Iterator[None]:
    """What is done inside fails at the first fault point of this name, and has to."""
    with pytest.MonkeyPatch.context() as patched, pytest.raises(RuntimeError, match=f"fault at {step}"):
        patched.setattr(faults, "_FAULT", f"{step}:raise")
        patched.setattr(faults, "_passes", 0)
        yield
