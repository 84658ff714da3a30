"""A connection on a thread of its own, opened so that a failure leaves nothing behind."""

import sqlite3
from collections.abc import Callable
from weakref import WeakKeyDictionary

import aiosqlite
import anyio
from anyio import to_thread

from .fork_gate import ForkGate

__all__ = ("connected", "gate_of")

_gates: "WeakKeyDictionary[aiosqlite.Connection, ForkGate]" = WeakKeyDictionary()


def gate_of(connection: aiosqlite.Connection) -> ForkGate:
    """What every call on the connection's thread goes through."""
    return _gates[connection]


async def connected(connect: Callable[[], sqlite3.Connection]) -> aiosqlite.Connection:
    """The connection that ``connect`` makes, on its own thread. Raises what ``connect`` raises.

    When it raises, or the caller is cancelled, the thread has ended on return.
    """
    gate = ForkGate()
    connection = aiosqlite.Connection(lambda: gate.through(connect), 64)
    _gates[connection] = gate
    try:
        return await connection
    except BaseException:
        # The thread ends with one more word to the event loop: were the loop closed by then, it would die
        # with a traceback on standard error.
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(connection._thread.join)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - no public name
        raise
