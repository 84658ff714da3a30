"""What a program's output says about its progress. Bytes in, readings out; nothing is written or awaited.

Seen are, best first: a regular expression of the caller's; ``time=`` beside ``Duration:`` (ffmpeg);
``to-chk=5/10`` (rsync); ``N/M`` and ``N of M`` (ninja, pip, and many more); ``N%`` (pytest, rsync, …). Once
a better form was seen twice in a row the worse ones are no longer believed, so that a stray ``50%`` in a
text does not move a bar that counts files.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

__all__ = ("MAX_LINE", "OutputReader", "Reading")

MAX_LINE = 16_384
"""Bytes of a line that are looked at; programs that print a bar without end of line are cut there."""

_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]")
_ENDS = re.compile(rb"[\r\n]")

_COUNT = re.compile(r"(?<![\w./:+=-])(\d{1,15}(?:\.\d+)?)\s*(?:/|of)\s*(\d{1,15}(?:\.\d+)?)(?![\w./:-]*\d)")
_UNIT = re.compile(r"\s?([kKMGT]i?)?B\b")
_PERCENT = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d+)?)\s?%(?!\w)")
_TO_CHECK = re.compile(r"\b(?:to|ir)-chk=(\d+)/(\d+)")
_CLOCK = r"(\d+):(\d\d):(\d\d(?:\.\d+)?)"
_DURATION = re.compile(rf"\bDuration: {_CLOCK}")
_TIME = re.compile(rf"\btime={_CLOCK}")
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}


class Reading(NamedTuple):
    """Where the program stands: ``done`` of ``total`` (None: not said). ``again``: it began anew."""

    done: int
    total: int | None
    again: bool = False


class OutputReader:
    """Reads one stream of output piece by piece.

    ``match`` is searched in every line; its group ``done`` (else the first group) is absolute, its group
    ``total`` (else the second) the total. Without groups each line that matches counts one.
    """

    def __init__(self, match: re.Pattern[str] | None = None) -> None:
        self.lines = 0
        self._match = match
        self._rest = b""
        self._matched = 0
        self._duration: int | None = None
        self._rank = len(_FORMS)
        self._candidates: dict[int, Reading] = {}
        self._last: Reading | None = None

    def feed(self, data: bytes) -> Reading | None:
        """The newest reading in this piece, None when it holds none. Counts :attr:`lines`."""
        self.lines += data.count(b"\n")
        *ended, self._rest = _ENDS.split(self._rest + data)
        self._rest = self._rest[-MAX_LINE:]
        newest: Reading | None = None
        again = False
        for line in ended:
            if line:
                reading = self._line(line[-MAX_LINE:])
                if reading is not None:
                    newest = reading
                    again = again or reading.again
        return newest._replace(again=again) if newest is not None else None

    def close(self) -> Reading | None:
        """The reading of a last line that has no end."""
        return self.feed(b"\r")

    def _line(self, line: bytes) -> Reading | None:
        text = _ESCAPES.sub(b"", line).decode("utf-8", "replace")
        if self._match is not None:
            return self._noted(self._own(self._match, text))
        found = _DURATION.search(text)
        if found:
            self._duration = _milliseconds(found)
        for rank, form in enumerate(_FORMS[: self._rank + 1]):
            reading = form(text, self._duration)
            if reading is None:
                continue
            if rank < self._rank < len(_FORMS) and not self._confirmed(rank, reading):
                continue
            self._rank = rank
            return self._noted(reading)
        return None

    def _confirmed(self, rank: int, reading: Reading) -> bool:
        # A better form takes over when it comes twice and goes on, not when a text happens to look so.
        before = self._candidates.get(rank)
        self._candidates[rank] = reading
        return before is not None and before.total == reading.total and before.done < reading.done

    def _noted(self, reading: Reading | None) -> Reading | None:
        if reading is None:
            return None
        if self._last is not None and reading.done < self._last.done:
            reading = reading._replace(again=True)
        self._last = reading
        return reading

    def _own(self, match: re.Pattern[str], text: str) -> Reading | None:
        found = match.search(text)
        if found is None:
            return None
        if not match.groups:
            self._matched += 1
            return Reading(self._matched, None)
        names = match.groupindex
        done = found[names.get("done", 1)]
        where = names.get("total", 2 if match.groups > 1 else 0)
        try:
            return Reading(_whole(done), _whole(found[where]) if where and found[where] else None)
        except (TypeError, ValueError, OverflowError):
            return None


def _milliseconds(found: re.Match[str]) -> int:
    return round((int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])) * 1000)


def _whole(text: str) -> int:
    return int(float(text.replace(",", "").replace("_", "")))


def _media(text: str, duration: int | None) -> Reading | None:
    found = _TIME.search(text)
    if found is None or not duration:
        return None
    return Reading(min(_milliseconds(found), duration), duration)


def _to_check(text: str, duration: int | None) -> Reading | None:
    found = _TO_CHECK.search(text)
    if found is None or int(found[1]) > int(found[2]):
        return None
    return Reading(int(found[2]) - int(found[1]), int(found[2]))


def _count(text: str, duration: int | None) -> Reading | None:
    for found in _COUNT.finditer(text):
        done, total = float(found[1]), float(found[2])
        if not total > 0 or done > total:
            continue
        unit = _UNIT.match(text, found.end())
        if unit is not None:
            name = unit[1] or ""
            scale = (1024 if name.endswith("i") else 1000) ** _POWERS[name.removesuffix("i")]
            return Reading(round(done * scale), round(total * scale))
        if "." not in found[0]:
            return Reading(int(found[1]), int(found[2]))
    return None


def _percent(text: str, duration: int | None) -> Reading | None:
    *_, last = ["", *(found[1] for found in _PERCENT.finditer(text))]
    return Reading(int(float(last)), 100) if last and float(last) <= 100 else None


_FORMS: tuple[Callable[[str, int | None], Reading | None], ...] = (_media, _to_check, _count, _percent)
