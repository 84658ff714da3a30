"""``progress-ledger pipe``: pass input on to output, and measure what flows through as a run.

Like pv, with a ledger for a screen: ``tar c big | progress-ledger pipe --kind backup | ssh host …``. Where
the input is a file its size is the total.
"""

import argparse
import os
import stat
import sys

from .reporting import add_run_options, open_described
from .source import Commands

__all__ = ("add_parser",)

_PIECE = 1 << 17


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("pipe", help="measure what flows through", description=__doc__)
    add_run_options(parser, kind="pipe")
    parser.add_argument("--lines", action="store_true", help="count lines instead of bytes")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    lines = arguments.lines
    if arguments.total is None and not lines:
        arguments.total = _size(0)
    run = open_described(arguments, kind="pipe", unit="lines" if lines else "bytes")
    sys.stdout.flush()
    try:
        while data := os.read(0, _PIECE):
            view = memoryview(data)
            while view:
                view = view[os.write(1, view) :]
            run.advance(data.count(b"\n") if lines else len(data))
            if run.cancel_requested:
                run.cancel("asked to stop")
                return 1
    except BrokenPipeError:
        run.interrupt("whoever read the output went away")
        return 1
    except KeyboardInterrupt:
        run.cancel("Ctrl-C")
        raise
    except OSError as error:
        run.fail(error.strerror or error)
        raise
    else:
        run.complete()
    finally:
        run.close()
    return 0


def _size(descriptor: int) -> int | None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        return None
    return max(0, found.st_size - os.lseek(descriptor, 0, os.SEEK_CUR))
