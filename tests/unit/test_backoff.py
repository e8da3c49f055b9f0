"""Waiting times between attempts."""

from __future__ import annotations

from penstock.backoff import Backoff


def test_doubles_up_to_the_last() -> None:
    """Twice as long each time, then the same; anew after a success."""
    backoff = Backoff(0.5, 3.0)
    assert [backoff.next_seconds() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert backoff.next_seconds() == 0.5


def test_another_factor() -> None:
    """Eight times as long each time."""
    backoff = Backoff(1.0, 60.0, factor=8.0)
    assert [backoff.next_seconds() for _ in range(4)] == [1.0, 8.0, 60.0, 60.0]


def test_jitter() -> None:
    """Half of the time to all of it, whatever the draw, and the doubling does not depend on it."""
    shares = iter([0.5, 1.0, 0.75])
    backoff = Backoff(1.0, 60.0, jitter=True, draw=lambda low, high: min(max(next(shares), low), high))
    assert [backoff.next_seconds() for _ in range(3)] == [0.5, 2.0, 3.0]
    drawn = [Backoff(8.0, 60.0, jitter=True).next_seconds() for _ in range(50)]
    assert all(4.0 <= seconds <= 8.0 for seconds in drawn) and len(set(drawn)) > 1


def test_added_seconds() -> None:
    """Up to so much longer, but never longer than the last; the doubling does not depend on it."""
    drawn: list[tuple[float, float]] = []

    def most(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    backoff = Backoff(0.5, 4.0, added_seconds=0.25, draw=most)
    assert [backoff.next_seconds() for _ in range(5)] == [0.75, 1.25, 2.25, 4.0, 4.0]
    assert set(drawn) == {(0.0, 0.25)}


def test_a_first_wait_above_the_last() -> None:
    """The last is the longest, from the beginning."""
    assert [Backoff(5.0, 2.0).next_seconds(), Backoff(5.0, 2.0, added_seconds=1.0).next_seconds()] == [2.0, 2.0]
