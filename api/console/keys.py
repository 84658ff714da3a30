"""Keys of a terminal, one at a time, without waiting for Enter."""

import os
import sys
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from importlib.util import find_spec

import anyio

__all__ = ("cut", "offered", "pressed", "unbuffered")

_NAMES = {
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x1b": "escape",
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1bOA": "up",
    "\x1bOB": "down",
}


def offered() -> bool:
    """Whether somebody sits at a terminal whose keys can be read."""
    return find_spec("termios") is not None and sys.stdin.isatty()


def cut(typed: str) -> list[str]:
    """The keys in what a terminal sent at once: a character, or a name such as ``up``; others are dropped."""
    keys: list[str] = []
    at = 0
    while at < len(typed):
        size = 3 if typed.startswith(("\x1b[", "\x1bO"), at) else 1
        piece = typed[at : at + size]
        at += size
        if piece in _NAMES:
            keys.append(_NAMES[piece])
        elif size == 1 and piece.isprintable():
            keys.append(piece)
    return keys


@contextmanager
def unbuffered() -> Generator[None, None, None]:
    """The terminal gives each key at once and shows none of them; afterwards it is as it was."""
    # Not there on every system, where keys are not offered.
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


async def pressed() -> AsyncIterator[str]:
    """Each key as it is pressed, until the terminal is gone."""
    descriptor = sys.stdin.fileno()
    while True:
        await anyio.wait_readable(descriptor)
        typed = os.read(descriptor, 256)
        if not typed:
            return
        for key in cut(typed.decode("utf-8", "ignore")):
            yield key
