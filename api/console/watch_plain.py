"""A run as a few lines of a log: at each step forward, and in a wait with its reason. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .terminal import done_of, duration, ended, plain, rate

__all__ = ("EVERY_PERCENT", "EVERY_SECONDS", "PlainLog")

EVERY_PERCENT = 5.0
EVERY_SECONDS = 30.0

_NOTED = frozenset(("noted", "rewound", "paused", "cancel_requested"))


class PlainLog:
    """Decides which news of one run is worth a line. ``now`` is in seconds since the epoch."""

    def __init__(self) -> None:
        self._state: tuple[object, ...] = ()
        self._step = -1
        self._spoke = 0.0
        self._reason = ""

    def take(self, run: Mapping[str, Any], event: Mapping[str, Any] | None, now: float) -> list[str]:
        """The lines for the run's newest state, and for the event that led to it when there was one."""
        lines: list[str] = []
        kind = event["type"] if event else ""
        if event is not None and kind in _NOTED:
            data = event["data"]
            text = data.get("message") or data.get("reason") or kind.replace("_", " ")
            level = f"{data['level']}: " if data.get("level") in ("warning", "error") else ""
            lines.append(self._line(run, now, f"{kind.replace('_', ' ')}: {level}{plain(text)}"))
            if kind == "paused":
                self._reason = plain(data.get("reason") or "")
        state = (run["status"], run["stalled"], run["stage"], run["cancel_requested"])
        step = -1 if run["percent"] is None else int(run["percent"] // EVERY_PERCENT)
        if state != self._state or step > self._step:
            lines.append(self._line(run, now, self._told(run)))
            self._state, self._step = state, step
        if lines:
            self._spoke = now
        return lines

    def tick(self, run: Mapping[str, Any], now: float) -> list[str]:
        """A line when there was none for long, with the reason; to be asked every second or so."""
        if ended(run) or now - self._spoke < EVERY_SECONDS:
            return []
        self._spoke = now
        return [self._line(run, now, self._told(run))]

    def _told(self, run: Mapping[str, Any]) -> str:
        parts = ["?" if run["percent"] is None else f"{run['percent']:.1f} %", done_of(run)]
        if run["stage"] is not None:
            parts.append(f"stage {plain(run['stage'])}")
        if ended(run):
            parts.append(f"took {duration(run['elapsed_seconds'])}")
            if run["error"] or run["message"]:
                parts.append(plain(run["error"] or run["message"]))
        elif run["status"] == "queued":
            parts.append("waiting: not started yet")
        elif run["status"] == "paused":
            parts.append(f"waiting: paused{f', {self._reason}' if self._reason else ''}")
        elif run["stalled"]:
            parts.append(f"waiting: no progress for {duration(run['stalled_seconds'])}")
        else:
            parts.append(f"{rate(run)}, {duration(run['eta_seconds'])} left")
        if run["cancel_requested"] and not ended(run):
            parts.append("cancel requested")
        return "  ".join(parts)

    def _line(self, run: Mapping[str, Any], now: float, text: str) -> str:
        time = datetime.fromtimestamp(now, UTC).astimezone().strftime("%H:%M:%S")
        status = "stalled" if run["stalled"] else run["status"]
        return f"{time} {plain(run['run_id'])} {status}  {text}"
