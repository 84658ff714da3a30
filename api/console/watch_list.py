"""The live list of runs as a pure state: what is chosen, filtered, asked, and what a key does to it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from .terminal import ended

__all__ = ("Action", "WatchList")

Action: TypeAlias = Literal["quit", "cancel"]

_ORDER = {"running": 1, "paused": 2, "queued": 3, "failed": 4, "interrupted": 4}


class WatchList:
    """Which runs are shown, and how: ``mode`` is ``list``, ``detail``, ``filter`` (typing) or ``confirm``."""

    def __init__(self) -> None:
        self.mode: Literal["list", "detail", "filter", "confirm"] = "list"
        self.filter = ""
        self.chosen: str | None = None
        self._shown: list[str] = []

    def show(self, runs: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
        """The runs to draw, stalled first, at most ``most`` of them and the chosen one always."""
        found = [run for run in runs if self._fits(run)]
        found.sort(key=lambda run: (ended(run), 0 if run["stalled"] else _ORDER.get(run["status"], 5)))
        ids = [run["run_id"] for run in found]
        if self.chosen not in ids:
            self.chosen = ids[0] if ids else None
        start = max(0, ids.index(self.chosen) - most + 1) if self.chosen is not None else 0
        self._shown = ids
        return found[start : start + most]

    def press(self, key: str) -> Action | None:
        """What the key asks of the one who shows the list; most change only the list."""
        if self.mode == "filter":
            self._type(key)
            return None
        if self.mode == "confirm":
            self.mode = "list"
            return "cancel" if key in ("y", "Y") else None
        if key == "q":
            return "quit"
        if key in ("up", "k"):
            self._move(-1)
        elif key in ("down", "j"):
            self._move(1)
        elif key == "enter":
            self.mode = "list" if self.mode == "detail" else "detail"
        elif key == "escape":
            self.mode = "list"
        elif key == "f":
            self.mode = "filter"
        elif key == "c" and self.chosen is not None:
            self.mode = "confirm"
        return None

    @property
    def hint(self) -> str:
        """What can be pressed now, for the last line."""
        if self.mode == "filter":
            return f"filter: {self.filter}_   enter keeps it, escape drops it"
        if self.mode == "confirm":
            return f"cancel {self.chosen}? y or n"
        told = "enter back" if self.mode == "detail" else "enter detail"
        kept = f"   filter: {self.filter}" if self.filter else ""
        return f"{told}  f filter  c cancel  q quit{kept}"

    def _type(self, key: str) -> None:
        if key == "enter":
            self.mode = "list"
        elif key == "escape":
            self.mode, self.filter = "list", ""
        elif key == "backspace":
            self.filter = self.filter[:-1]
        elif len(key) == 1:
            self.filter += key

    def _move(self, by: int) -> None:
        if self.chosen in self._shown:
            at = self._shown.index(self.chosen) + by
            self.chosen = self._shown[min(max(at, 0), len(self._shown) - 1)]

    def _fits(self, run: Mapping[str, Any]) -> bool:
        words = [str(run[name] or "") for name in ("run_id", "kind", "scope", "title", "status")]
        return self.filter.lower() in " ".join(words).lower()
