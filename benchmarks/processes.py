"""Child processes that benchmarks measure: started, pinned to a core, looked at, and stopped."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ("cores", "cpu_seconds", "pinned", "served")

_STOP_SECONDS = 10.0


def cores() -> tuple[int, int]:
    """A core for the server and another one for the load, the same where there is only one."""
    mine = sorted(os.sched_getaffinity(0))
    return mine[0], mine[-1]


def cpu_seconds(pid: int) -> float:
    """Processor seconds that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pinned(command: Sequence[str], core: int) -> list[str]:
    """The command, held to one core where ``taskset`` is there to do it."""
    return ["taskset", "-c", str(core), *command] if shutil.which("taskset") else list(command)


@contextlib.contextmanager
def served(arguments: Sequence[str], core: int) -> Iterator[tuple[int, int]]:
    """Process id and port of ``python ARGUMENTS``, which prints its port and ends with its standard input."""
    process = subprocess.Popen(
        pinned([sys.executable, *arguments], core), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        if not port:
            raise ConnectionError(f"{' '.join(arguments)} ended with status {process.wait(_STOP_SECONDS)}")
        yield process.pid, int(port)
    finally:
        process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
