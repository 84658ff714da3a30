"""Conflation: which runs are due for a snapshot when a client asked for one per interval at most."""

__all__ = ("Pacing", "parse_every")

SHORTEST = 0.1
LONGEST = 60.0


def parse_every(text: str) -> float:
    """Seconds from ``250ms``, ``2s`` or a bare number of seconds, held between 0.1 and 60.

    Raises ValueError when the text is something else.
    """
    text = text.strip().lower()
    scale = 1.0
    if text.endswith("ms"):
        text, scale = text[:-2], 0.001
    elif text.endswith("s"):
        text = text[:-1]
    seconds = float(text) * scale
    if not seconds >= 0.0:
        raise ValueError(f"{seconds} is no interval")
    return min(LONGEST, max(SHORTEST, seconds))


class Pacing:
    """For one client: runs with news that were not shown yet, and when each was shown last."""

    def __init__(self, every: float) -> None:
        self.every = every
        self._withheld: dict[str, None] = {}
        self._shown: dict[str, float] = {}

    def news(self, run_id: str) -> None:
        """Something happened to the run."""
        self._withheld[run_id] = None

    def shown(self, run_id: str, now: float) -> None:
        """The run's newest state was sent at ``now``."""
        self._withheld.pop(run_id, None)
        self._shown[run_id] = now

    def ended(self, run_id: str) -> None:
        """The run's last frame was sent."""
        self._withheld.pop(run_id, None)
        self._shown.pop(run_id, None)

    def due(self, now: float) -> list[str]:
        """The withheld runs whose interval is over, those that waited longest first."""
        return [
            run_id
            for run_id in self._withheld
            if (last := self._shown.get(run_id)) is None or now - last >= self.every
        ]

    def next_due(self, now: float) -> float | None:
        """Seconds until the first withheld run is due; None when nothing is withheld."""
        if not self._withheld:
            return None
        return max(
            0.0,
            min(self._shown.get(run_id, now - self.every) + self.every - now for run_id in self._withheld),
        )

    @property
    def withholds(self) -> bool:
        """Whether anything is held back."""
        return bool(self._withheld)
