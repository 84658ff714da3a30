"""A part of a long fold: the runs of some kinds, folded by a process of its own.

Run as ``python -m progress_ledger.projections.part``: the order comes on standard input, what was folded
leaves by standard output. Only the parent writes to the log.
"""

import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import msgspec

from progress_ledger.ledger.log import SCAN_PAGE, Document
from progress_ledger.ledger.sqlite.file import connect_reader

from .history import RunSummary
from .states import States
from .store import document_of

__all__ = ("Folded", "Order", "fold", "main", "read_folded", "written")

_UNKEPT = 500
_SLICE = 100_000  # positions to a statement: a longer one would keep the write-ahead log from being folded

_EVENTS = """
SELECT position, CAST(body AS BLOB) FROM event
WHERE position > ? AND position <= ?
AND run IN (SELECT number FROM run_entry WHERE kind IN (SELECT value FROM json_each(?)))
ORDER BY position
"""


class Order(msgspec.Struct):
    """Fold the events of the runs of ``kinds`` in the file at ``path``, up to the position ``through``.

    ``gone`` are the summaries of pruned runs by the position of their end, each with its kind.
    """

    path: str
    through: int
    kinds: list[str]
    gone: dict[int, tuple[str, RunSummary]]


class Folded(msgspec.Struct, array_like=True):
    """What has been folded since the last time: ended runs' states and long runs' marks, to be kept.

    The last one, ``whole``, has the states of the active runs and the histories as well.
    """

    ended: list[Document]
    marks: list[Document]
    whole: bool = False
    active: list[Document] = []
    histories: list[Document] = []


read_folded = msgspec.msgpack.Decoder(Folded).decode
"""What :func:`written` wrote, without its length. Raises msgspec.MsgspecError for anything else."""

_encode = msgspec.msgpack.Encoder().encode


def written(folded: Folded) -> bytes:
    """``folded`` after its length, four bytes, the highest first."""
    body = _encode(folded)
    return len(body).to_bytes(4, "big") + body


def fold(order: Order, tell: Callable[[Folded], None]) -> None:
    """Fold as ordered, and ``tell`` often enough that what waits here stays little.

    Raises what reading the file raises.
    """
    states = States()
    kinds = msgspec.json.encode(order.kinds).decode()
    with closing(connect_reader(Path(order.path), busy_timeout=5)) as connection:
        for start in range(0, order.through, _SLICE):
            end = min(start + _SLICE, order.through)
            rows = connection.execute(_EVENTS, (start, end, kinds))
            while page := rows.fetchmany(SCAN_PAGE):
                states.fold_whole(page, gone=order.gone)
                if states.unkept >= _UNKEPT:
                    tell(_ended(states))
    last = _ended(states)
    last.whole = True
    last.active = [document_of(state) for state in states.active.values()]
    last.histories = states.histories.documents()
    tell(last)


def _ended(states: States) -> Folded:
    ended = states.ended()
    folded = Folded([document_of(state) for state in ended], states.take_marks())
    states.keep(ended)
    return folded


def main(order: BinaryIO, out: BinaryIO) -> None:
    """Fold what the order says; leaves with an error, and nothing said, when that is impossible."""

    def tell(folded: Folded) -> None:
        out.write(written(folded))
        out.flush()

    fold(msgspec.msgpack.decode(order.read(), type=Order), tell)


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
