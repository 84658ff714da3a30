"""Pace and remaining time as the plain overall mean: what is said where nothing better is known."""

from typing import NamedTuple

__all__ = ("Estimate", "UNKNOWN", "mean_rate", "mean_remaining")


class Estimate(NamedTuple):
    """Seconds left with a band around them, and what they rest on; None is unknown."""

    seconds: float | None
    low: float | None
    high: float | None
    basis: str | None


UNKNOWN = Estimate(None, None, None, None)
"""Nothing can be said."""


def mean_rate(done: int, seconds: float) -> float | None:
    """Units per second over all of ``seconds``; None until work and time are both more than nothing."""
    if done <= 0 or seconds <= 0.0:
        return None
    return done / seconds


def mean_remaining(share: float | None, seconds: float) -> Estimate:
    """Time left when ``share`` of the work took ``seconds`` and the rest goes on like it."""
    if share is None or share <= 0.0 or seconds <= 0.0:
        return UNKNOWN
    if share >= 1.0:
        return Estimate(0.0, None, None, "mean")
    return Estimate(seconds * (1.0 - share) / share, None, None, "mean")
