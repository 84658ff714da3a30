"""The command line. Exit status: 0 fine, 1 what was asked about failed, 2 wrong usage.

Errors are one sentence on standard error. Each command is a module of its own that adds its parser.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import TextIO, cast

from progress_ledger.ledger.errors import InvalidRun, LedgerError, TooLarge

from .commands import demo, doctor, eta, log, ls, pipe, serve, show, token, watch
from .commands import exec as exec_command
from .commands.audit import AUDIT_COMMANDS
from .commands.source import Usage
from .console.client import ConnectionLost, Refused

__all__ = ("main",)

_COMMANDS = (
    serve,
    demo,
    ls,
    show,
    log,
    watch,
    exec_command,
    pipe,
    *AUDIT_COMMANDS,
    eta,
    token,
    doctor,
)

_INTERRUPTED = 130
"""What a shell expects of a program that Ctrl-C ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status and raises nothing."""
    _open_standard_streams()
    # A terminal that cannot show a character gets another one, not an error.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    try:
        parsed = _parser().parse_args(arguments)
        status: int = parsed.run(parsed)
        sys.stdout.flush()
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read has had enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Usage, argparse.ArgumentTypeError) as error:
        return _complain(error, 2)
    except (InvalidRun, TooLarge) as error:
        # Of a run that the arguments describe.
        return _complain(error, 2)
    except Refused as error:
        return _complain(error, 2 if error.status in (400, 422) else 1)
    except (LedgerError, ConnectionLost) as error:
        return _complain(error, 1)
    except OSError as error:
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return _complain(f"{where}{error.strerror or error}.", 1)
    except Exception as error:
        if os.environ.get("PROGRESS_LEDGER_TRACEBACK"):
            raise
        return _complain(f"{type(error).__name__}: {error} (PROGRESS_LEDGER_TRACEBACK=1 shows where).", 1)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="progress-ledger", description="Progress of long jobs as an immutable event log."
    )
    told = f"progress-ledger {version('progress-ledger')}"
    parser.add_argument("--version", action="version", version=told)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser


def _open_standard_streams() -> None:
    # Whoever starts a daemon may have closed them. The next file or socket would take their numbers then, be
    # written to by mistake, and make libuv abort the process when it is closed.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdin = sys.stdin or _nothing("r")
    sys.stdout = sys.stdout or _nothing("w")
    sys.stderr = sys.stderr or _nothing("w")


def _nothing(mode: str) -> TextIO:
    # Without an end of its own: it is open as long as the process is, and nobody is to be warned of that.
    return cast("TextIO", open(os.open(os.devnull, os.O_RDWR), mode, closefd=False))


def _complain(error: object, status: int) -> int:
    print(f"progress-ledger: {error}", file=sys.stderr)
    return status
