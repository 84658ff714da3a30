"""The server as a process, and what Linux says of it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import httpx

from .model import Broken

START_SECONDS = 30.0

# Gives up CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH for what is executed next; without effect for others.
_HUMBLE = (
    "import ctypes, os, sys\n"
    "for capability in (1, 2): ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)\n"
    "os.execv(sys.argv[1], sys.argv[1:])"
)
ANSWER_SECONDS = 5.0
"""How long after a fault the service may take to answer again."""


class Server:
    """``progress-ledger serve`` over a file: the port stays the same over restarts.

    ``folder`` is for what it says on standard error, its clock and the number of its tasks.
    """

    def __init__(self, db: Path, folder: Path, *, environment: dict[str, str] | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.db = db
        self.port = 0
        self.environment = environment or {}
        self.starts = 0
        self.slowest_start = 0.0
        self._folder = folder
        self._errors = folder / "errors"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        line = await self.try_start()
        if not line.startswith("listening on "):
            raise Broken(f"the server did not start: {self.errors()[-600:]}")
        self.port = int(line.rpartition(":")[2])

    async def try_start(self, *, humble: bool = False) -> str:
        """Its first line, or nothing when it gave up. ``humble``: the rights of files hold for root, too."""
        program = [sys.executable, "-m", "tests.torture.server_process", str(self._folder)]
        command = [*program, "serve", "--db", str(self.db), "--port", str(self.port)]
        with self._errors.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *([sys.executable, "-c", _HUMBLE] if humble else []),
                *command,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **self.environment},
            )
        self.starts += 1
        began = time.monotonic()
        assert self._process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            line = await self._process.stdout.readline()
        if line:
            took = time.monotonic() - began - self._waited()
            self.slowest_start = max(self.slowest_start, took)
        return line.decode().strip()

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self.gone()

    async def terminate(self, patience: float = 12.0) -> int:
        """SIGTERM; its exit status."""
        self.signal(signal.SIGTERM)
        async with asyncio.timeout(patience):
            return await self.gone()

    def signal(self, number: signal.Signals) -> None:
        if self.alive:
            os.kill(self.pid, number)

    async def gone(self) -> int:
        assert self._process is not None
        return await self._process.wait()

    def errors(self) -> str:
        """All it ever said on standard error."""
        return self._errors.read_text("utf-8", "replace") if self._errors.exists() else ""

    async def answers(self, client: httpx.AsyncClient, within: float = ANSWER_SECONDS) -> float:
        """Seconds until it says that it is ready. Raises Broken when that takes longer than ``within``."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        why = ""
        while loop.time() - began < within:
            try:
                answer = await client.get(f"{self.url}/readyz", timeout=within)
                if answer.status_code == 200:
                    return loop.time() - began
                why = answer.text
            except httpx.HTTPError as error:
                why = repr(error)
            await asyncio.sleep(0.02)
        raise Broken(f"the server does not answer within {within:.0f} s: {why}")

    async def set_clock(self, error: float) -> None:
        """From now on its clock is wrong by so many seconds, also after a restart."""
        (self._folder / "clock").write_text(str(error), "ascii")
        await self.tasks()

    async def tasks(self) -> int | None:
        """How many tasks its loop has; None when it does not say so within a second."""
        told = self._folder / "tasks"
        told.unlink(missing_ok=True)
        self.signal(signal.SIGUSR2)
        for _ in range(100):
            if told.exists():
                return int(told.read_text("ascii"))
            await asyncio.sleep(0.01)
        return None

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self) -> int:
        """Resident bytes."""
        return int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def _waited(self) -> float:
        """Seconds in which it could have gone on, and others had the processors."""
        try:
            return int(Path(f"/proc/{self.pid}/schedstat").read_text("ascii").split()[1]) / 1e9
        except OSError:
            return 0.0

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))
