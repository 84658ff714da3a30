"""The server, with two things that nobody else needs: a clock that can be set, and the number of its tasks.

``python -m tests.torture.server_process FOLDER serve …``.

Both happen at SIGUSR2: the error of the clock is read from the file ``clock`` of the folder, in seconds, and
the number of its tasks goes to the file ``tasks``.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

_folder = Path(sys.argv[1])
_time, _time_ns = time.time, time.time_ns
_error = 0.0


def _look(number: int = 0, frame: FrameType | None = None) -> None:
    global _error
    # It may have no descriptor left at this moment: then nothing changes.
    with suppress(OSError, ValueError):
        _error = float((_folder / "clock").read_text("ascii"))
    with suppress(OSError, RuntimeError):
        written = _folder / "tasks.new"
        written.write_text(str(len(asyncio.all_tasks())), "ascii")
        written.replace(_folder / "tasks")


# Before anything of the product is there, since some of it takes the function as a default.
time.time = lambda: _time() + _error
time.time_ns = lambda: _time_ns() + int(_error * 1e9)
signal.signal(signal.SIGUSR2, _look)
_look()

from progress_ledger.api.cli import main  # noqa: E402 - see above

if __name__ == "__main__":
    sys.argv[1:2] = []
    sys.exit(main())
