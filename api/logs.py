"""The server's own log: lines for people, or one JSON object a line; on standard error.

Nothing a caller sent is in it but the method and the path: no token, no body, no query.
"""

import json
import logging
import sys
from typing import Literal, TextIO

from progress_ledger.ledger.times import format_time

__all__ = ("FACTS", "JsonLines", "TextLines", "configure")

FACTS = ("method", "path", "status", "seconds", "token", "address")
"""What a record of a request carries beside its message, as attributes of these names."""

_LOGGERS = ("progress_ledger", "uvicorn")


class JsonLines(logging.Formatter):
    """``time``, ``level``, ``logger``, ``message``, the facts that are known, and ``error``, a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": format_time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name in FACTS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


class TextLines(logging.Formatter):
    """Time, level and message, on one line but for a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        # Escaped, so that no path can forge a line or reach the terminal.
        message = record.getMessage().encode("unicode_escape").decode("ascii")
        line = f"{format_time(record.created)} {record.levelname.lower():<7} {message}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(
    form: Literal["text", "json"] = "text", level: str = "warning", stream: TextIO | None = None
) -> None:
    """Send what the server and uvicorn log to ``stream`` (standard error); called again, it takes the place
    of what it set up before."""
    output = logging.StreamHandler(stream or sys.stderr)
    output.setFormatter(JsonLines() if form == "json" else TextLines())
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [output]
        logger.setLevel(level.upper())
        logger.propagate = False
