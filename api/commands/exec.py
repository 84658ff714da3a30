"""``progress-ledger exec -- COMMAND``: run any command as a run.

Its output passes through untouched and is read for progress on the way: ``N/M``, ``N%``, or what --match
finds. Exit status 0 completes the run, any other fails it, and it becomes the exit status of exec. Signals
are handed on; Ctrl-C makes the run cancelled, and so does a request to cancel it.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from progress_ledger.ledger import OpenRun

from .output import OutputReader, Reading
from .reporting import add_run_options, open_described
from .source import Commands, Usage

__all__ = ("CANCEL_POLL_SECONDS", "KILL_SECONDS", "add_parser")

CANCEL_POLL_SECONDS = 0.25
KILL_SECONDS = 10.0
"""How long a command that was asked to stop may take before it is killed."""

_TAIL = 2_000
_ASKED = "asked to stop"
_HANDED_ON = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_ENDING = frozenset(("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"))


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("exec", help="run a command as a run", description=__doc__)
    add_run_options(parser, kind="the command's name")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--match", metavar="REGEX", help="progress is in lines like this: groups done and total")
    how.add_argument("--lines", action="store_true", help="each line of output is one done")
    parser.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="what to run")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    argv = arguments.argv[1:] if arguments.argv[:1] == ["--"] else arguments.argv
    if not argv:
        raise Usage("exec needs a command: progress-ledger exec -- COMMAND…")
    try:
        match = re.compile(arguments.match) if arguments.match else None
    except re.error as error:
        raise Usage(f"--match {arguments.match!r} is no regular expression: {error}.") from None
    unit = "lines" if arguments.lines else None
    run = open_described(arguments, kind=Path(argv[0]).name[:128] or "exec", unit=unit)
    return _Execution(run, argv, match, lines=arguments.lines).run()


class _Execution:
    def __init__(self, run: OpenRun, argv: list[str], match: re.Pattern[str] | None, *, lines: bool) -> None:
        self._run = run
        self._argv = argv
        self._match = match
        self._lines = lines
        self._lock = threading.Lock()
        self._last: Reading | None = None
        self._tail = b""
        self._stopped_by: str | None = None
        self._over = threading.Event()

    def run(self) -> int:
        try:
            child = subprocess.Popen(self._argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        except OSError as error:
            # What a shell answers: 127 not found, 126 not to be run.
            print(f"progress-ledger: {self._argv[0]}: {error.strerror}", file=sys.stderr)
            self._run.fail(f"{self._argv[0]}: {error.strerror}")
            self._run.close()
            return 127 if isinstance(error, FileNotFoundError) else 126
        before = self._hand_on_signals(child)
        assert child.stdout is not None
        assert child.stderr is not None
        threads = [
            threading.Thread(target=self._copy, args=(child.stdout, 1), daemon=True),
            threading.Thread(target=self._copy, args=(child.stderr, 2), daemon=True),
            threading.Thread(target=self._watch, args=(child,), daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            status = child.wait()
            for thread in threads[:2]:
                # A grandchild may hold the pipe for as long as it lives; it is not waited for.
                thread.join(1.0)
        finally:
            self._over.set()
            for number, handler in before.items():
                signal.signal(number, handler)
        self._end(status)
        return status if status >= 0 else 128 - status

    def _end(self, status: int) -> None:
        if self._stopped_by is not None and status != 0:
            # Who asked has a reason, and the run is cancelled with it by being left.
            if self._stopped_by != _ASKED:
                self._run.cancel(self._stopped_by)
        elif status == 0:
            self._run.complete()
        else:
            how = f"exit status {status}" if status > 0 else f"killed by {signal.Signals(-status).name}"
            last = self._tail.decode("utf-8", "replace").strip()
            self._run.fail(f"{how}: {last}" if last else how)
        self._run.close()

    def _copy(self, stream: IO[bytes], descriptor: int) -> None:
        reader = OutputReader(self._match)
        open_ = True
        with stream:
            while data := stream.read(65_536):
                try:
                    if open_:
                        open_ = _write(descriptor, data)
                except BrokenPipeError:
                    # Whoever read has had enough: the command is to notice, as it would without exec.
                    break
                self._seen(reader, reader.feed(data), data, descriptor)
        self._seen(reader, reader.close(), b"", descriptor)

    def _seen(self, reader: OutputReader, reading: Reading | None, data: bytes, descriptor: int) -> None:
        with self._lock:
            if descriptor == 2:
                self._tail = (self._tail + data)[-_TAIL:]
            if self._lines:
                if count := data.count(b"\n"):
                    self._run.advance(count)
            elif reading is not None:
                if reading.again or (self._last is not None and reading.done < self._last.done):
                    self._run.rewind(reading.done, reason="the output began again")
                self._last = reading
                if reading.total is None:
                    self._run.set(reading.done)
                else:
                    self._run.set(reading.done, reading.total)

    def _watch(self, child: "subprocess.Popen[bytes]") -> None:
        while not self._over.wait(CANCEL_POLL_SECONDS):
            if self._run.cancel_requested and self._stopped_by is None:
                self._stopped_by = _ASKED
                child.terminate()
                if not self._over.wait(KILL_SECONDS):
                    child.kill()

    def _hand_on_signals(self, child: "subprocess.Popen[bytes]") -> dict[signal.Signals, Any]:
        before: dict[signal.Signals, Any] = {}
        if threading.current_thread() is not threading.main_thread():
            return before

        def hand_on(number: int, frame: object) -> None:
            name = signal.Signals(number).name
            if name in _ENDING and self._stopped_by is None:
                self._stopped_by = "Ctrl-C" if name == "SIGINT" else name
            if not (name in ("SIGINT", "SIGQUIT") and _from_terminal()):
                # From the terminal the command has got it already, with everybody else there.
                child.send_signal(number)

        for name in _HANDED_ON:
            if hasattr(signal, name):
                number = signal.Signals[name]
                before[number] = signal.signal(number, hand_on)
        return before


def _from_terminal() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _write(descriptor: int, data: bytes) -> bool:
    """Whether more can be written there. Raises BrokenPipeError when nobody reads any more."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except BrokenPipeError:
        raise
    except OSError:
        return False
    return True
