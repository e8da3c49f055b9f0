"""How many examples of a property Hypothesis tries: a seventh by ``--hypothesis-profile=fast``, as in ``make test``."""

from __future__ import annotations

from hypothesis import settings

_WHOLE = 100
settings.register_profile("fast", max_examples=_WHOLE // 7)


def examples(number: int) -> int:
    """As many of ``number`` as the profile says, but never none: three, if there are as many."""
    return max(min(number, 3), number * min(settings().max_examples, _WHOLE) // _WHOLE)
