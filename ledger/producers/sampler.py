"""How far a loop is, for loops that are looked at instead of saying so."""

from collections.abc import Callable

__all__ = ("Sampler",)


class Sampler:
    """Looks at ``done`` every ``interval`` seconds, sooner until the first item is seen.

    ``now`` is a monotonic clock, in seconds.
    """

    def __init__(self, done: Callable[[], int], interval: float) -> None:
        self._done = done
        self._interval = interval
        self._seen = 0
        self._next = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next look is due."""
        return self._next - now

    def look(self, now: float) -> int:
        """How much was done since the last look."""
        done = self._done()
        new = max(0, done - self._seen)
        self._seen += new
        self._next = now + (self._interval if self._seen else self._interval / 5)
        return new
