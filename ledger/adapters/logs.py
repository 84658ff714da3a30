"""Log records of a job as notes of its run."""

import logging

from ..events import Level, Noted
from ..producers.merge import plain_text
from ..producers.open_run import OpenRun

__all__ = ("RunHandler",)


class RunHandler(logging.Handler):
    """Notes each record on ``run``, without waiting for the ledger: ``logger.addHandler(RunHandler(run))``.

    Warnings and errors keep their level, what is below is ``info``. The ledger's own records are passed by.
    """

    def __init__(self, run: OpenRun, level: int = logging.WARNING) -> None:
        super().__init__(level)
        self._run = run

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.split(".")[0] == "progress_ledger":
            return
        try:
            text = self.format(record)
        except Exception:
            self.handleError(record)
            return
        level: Level = "info"
        if record.levelno >= logging.ERROR:
            level = "error"
        elif record.levelno >= logging.WARNING:
            level = "warning"
        self._run.post(Noted(message=plain_text(text), level=level))
