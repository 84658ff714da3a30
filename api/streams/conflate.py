"""Conflation: of a stream that shows each run at most once per interval, what is held back until when."""

import re

__all__ = ("LONGEST", "SHORTEST", "Conflation", "parse_every")

SHORTEST = 0.1
LONGEST = 60.0

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s)?")


def parse_every(text: str) -> float:
    """Seconds from ``250ms``, ``2s`` or a bare number of seconds.

    Raises ValueError when the text is something else or not between 100 ms and 60 s.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is not a duration")
    seconds = float(match[1]) * (0.001 if match[2] == "ms" else 1.0)
    if not SHORTEST <= seconds <= LONGEST:
        raise ValueError(f"{text!r} is not between 100ms and 60s")
    return seconds


class Conflation:
    """The runs with news that no frame has shown yet, and when they are due. Reads no clock."""

    def __init__(self, every: float, now: float) -> None:
        self.every = every
        self._due = now + every
        self._withheld: dict[str, None] = {}

    @property
    def withheld(self) -> tuple[str, ...]:
        """The runs held back, those first that have waited longest."""
        return tuple(self._withheld)

    @property
    def due(self) -> float | None:
        """When they are to be shown; None while nothing is held back."""
        return self._due if self._withheld else None

    def news(self, run_id: str) -> None:
        """Something happened to the run."""
        self._withheld[run_id] = None

    def shown(self, run_id: str) -> None:
        """A frame that could not wait has shown the run's newest state."""
        self._withheld.pop(run_id, None)

    def take(self, now: float) -> tuple[str, ...]:
        """The runs to be shown at ``now``: all that are held back when it is time, else none."""
        if not self._withheld or now < self._due:
            return ()
        due = tuple(self._withheld)
        self._withheld.clear()
        self._due = now + self.every
        return due
