"""How many examples of a property Hypothesis tries: a seventh by ``--hypothesis-profile=fast``, as in ``make test``."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_WHOLE = 100
# how long an example takes is the machine's affair: a law does not fail on a busy one
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", settings.get_profile("unhurried"), max_examples=_WHOLE // 7)
settings.load_profile("unhurried")


def examples(number: int, *, least: int = 3) -> int:
    """As many of ``number`` as the profile says, but never none: three, if there are as many, or ``least``."""
    return max(min(number, least), number * min(settings().max_examples, _WHOLE) // _WHOLE)
