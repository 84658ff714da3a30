"""How a benchmark tells a server of ours what to publish: a line on standard input each.

``publish N`` publishes N events at once; ``append SECONDS RUN`` appends one event after the other to that run
for so long and answers how many it were. Every line is answered by one line on standard output.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

__all__ = ("MESSAGE", "message", "obey", "say")

MESSAGE = "sheet %07d of the autumn batch was read, checked and filed under its number in the archive"
"""With what surrounds it in a stored event this makes about 200 bytes."""


def message(number: int) -> str:
    return MESSAGE % number


def say(line: object) -> None:
    print(line, flush=True)


async def obey(
    publish: Callable[[int], Awaitable[None]],
    append: Callable[[float, str], Awaitable[int]] | None = None,
) -> None:
    """Do as told until standard input ends."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        word, _, argument = line.decode().strip().partition(" ")
        if word == "publish":
            await publish(int(argument))
            say("published")
        elif word == "append" and append is not None:
            seconds, _, run_id = argument.partition(" ")
            say(await append(float(seconds), run_id))
        else:
            say("what?")
