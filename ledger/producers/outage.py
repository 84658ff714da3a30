"""How a producer behaves while its ledger cannot be written: when to try again, and when to speak of it."""

from ..errors import LedgerError

__all__ = ("LOG_SECONDS", "RETRY_SECONDS", "Outage")

LOG_SECONDS = 60.0
"""Trouble is spoken of at most this often."""

RETRY_SECONDS = (0.25, 0.5, 1.0, 2.0)
"""Waits between attempts; the last one goes on for ever."""


class Outage:
    """The trouble of one feed. ``now`` is a monotonic clock, in seconds; ``error`` None: there is none."""

    def __init__(self) -> None:
        self.error: LedgerError | None = None
        self.failures = 0
        self._attempts = 0
        self._retry_at = 0.0
        self._spoken_at = float("-inf")

    def fail(self, error: LedgerError, now: float) -> None:
        """An attempt failed."""
        self.error = error
        self.failures += 1
        self._retry_at = now + RETRY_SECONDS[min(self._attempts, len(RETRY_SECONDS) - 1)]
        self._attempts += 1

    def wait(self, now: float) -> float:
        """Seconds until the next attempt is due; 0 or less when it is."""
        return 0.0 if self.error is None else self._retry_at - now

    def over(self) -> bool:
        """An attempt succeeded. Whether that ends an outage."""
        was = self.error is not None
        self.error = None
        self._attempts = 0
        return was

    def may_speak(self, now: float) -> bool:
        """Whether it is time to speak of trouble again; asking counts as speaking."""
        if now < self._spoken_at + LOG_SECONDS:
            return False
        self._spoken_at = now
        return True
