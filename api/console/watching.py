"""What a viewer knows of runs, from the frames of a stream."""

from typing import Any, cast

from .sse_client import Frame

__all__ = ("Viewer",)

_NO_EVENTS = frozenset(("hello", "live", "drain", "busy"))


class Viewer:
    """The newest state of every run that the stream told of, in the order in which they came."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self._fresh: dict[str, dict[str, Any]] | None = None

    def take(self, frame: Frame) -> dict[str, Any] | None:
        """Learn from a frame; returns the run it was about, when it was about one.

        After a ``hello`` that is no resumption, the snapshots up to ``live`` are the whole set.
        """
        if frame.event == "hello":
            self._fresh = None if frame.data.get("status") == "resumed" else {}
            return None
        if frame.event == "live":
            if self._fresh is not None:
                self.runs, self._fresh = self._fresh, None
            return None
        told = frame.data.get("run")
        if frame.event in _NO_EVENTS or not isinstance(told, dict):
            return None
        change = cast("dict[str, Any]", told)
        event = cast("dict[str, Any]", frame.data.get("event") or {})
        run_id: str | None = change.get("run_id") or event.get("run_id") or self._only()
        if run_id is None:
            return None
        known = self.runs.get(run_id)
        if known is None and "kind" not in change:
            return None
        run = {**(known or {}), **change, "run_id": run_id}
        self.runs[run_id] = run
        if self._fresh is not None:
            self._fresh[run_id] = run
        return run

    def _only(self) -> str | None:
        return next(iter(self.runs)) if len(self.runs) == 1 else None
