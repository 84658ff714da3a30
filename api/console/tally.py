"""A reader's own account of a stream: which events it got, which it missed, which it got twice."""

from typing import Any, cast

from .sse_client import Frame

__all__ = ("Tally",)


class Tally:
    """Counts the events of one run by their versions, which have no holes in the log.

    The first snapshot stands for all events up to its version. Any later one stands for events that this
    reader never got one by one: they count as gaps.
    """

    def __init__(self) -> None:
        self.events = 0
        self.gaps = 0
        self.repeats = 0
        self.version = 0
        self.resumed = 0
        self._begun = False

    def take(self, frame: Frame) -> None:
        """Count a frame."""
        if frame.event == "hello":
            self.resumed += frame.data.get("status") == "resumed"
            return
        event = frame.data.get("event")
        if isinstance(event, dict):
            self._event(int(cast("dict[str, Any]", event)["version"]))
        elif frame.event == "snapshot":
            run = cast("dict[str, Any]", frame.data["run"])
            self._snapshot(int(run["version"]))

    def _event(self, version: int) -> None:
        if version <= self.version:
            self.repeats += 1
            return
        self.gaps += version - self.version - 1
        self.version = version
        self.events += 1
        self._begun = True

    def _snapshot(self, version: int) -> None:
        if self._begun:
            self.gaps += max(0, version - self.version)
        self.version = max(self.version, version)
        self._begun = True
