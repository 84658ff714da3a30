"""Times as the log writes them: RFC 3339, UTC, microseconds, always 27 characters.

Because every stored time has the same width and zone, two of them compare as text; they are parsed
only where seconds are needed.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache

__all__ = ("format_time", "normalise_time", "parse_time", "read_time", "seconds_between")


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,12})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def format_time(seconds: float) -> str:
    """``2026-11-21T23:34:40.123456Z`` for seconds since the epoch."""
    whole, micro = divmod(round(seconds * 1e6), 1_000_000)
    # Six digits by way of seven: asking for leading zeros takes twice as long as all the rest.
    return f"{_second(whole)}.{str(micro + 1_000_000)[1:]}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    # Every frame says when its run may be done: within a second only the digits behind the point differ.
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")[:19]


def read_time(text: str) -> float:
    """What :func:`parse_time` returns, for a time that is asked for once: remembering it takes longer."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.timestamp()


@lru_cache(maxsize=4096)
def parse_time(text: str) -> float:
    """Seconds since the epoch of a time the log wrote.

    Raises ValueError when the text is not RFC 3339 with a zone.
    """
    return read_time(text)


def normalise_time(text: str) -> str:
    """Any RFC 3339 time with a zone, in the log's own form.

    Raises ValueError when the text is something else.
    """
    if not _RFC_3339.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not an RFC 3339 time with a zone")
    moment = datetime.fromisoformat(text.upper())
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is out of range") from None
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


def seconds_between(start: str, end: str) -> float:
    """Seconds from one of the log's times to a later one; 0 when the second is not later."""
    return max(0.0, parse_time(end) - parse_time(start))
