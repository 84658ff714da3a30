"""What a server does for its auditors while it serves: the tree kept up, checkpoints signed in time."""

import logging

import anyio
from msgspec import Struct

from progress_ledger.ledger.audit.note import Signer
from progress_ledger.ledger.audit.tree import Tree
from progress_ledger.ledger.errors import LedgerError
from progress_ledger.ledger.events import TERMINAL
from progress_ledger.ledger.ledger import Ledger
from progress_ledger.ledger.log import Commit
from progress_ledger.ledger.sqlite import SQLiteLog

__all__ = ("CheckpointPolicy", "keep_transparent")

_logger = logging.getLogger("progress_ledger.api")


class CheckpointPolicy(Struct, frozen=True):
    """When the head is signed: ``seconds`` after the last time if anything came, and earlier once ``events``
    came. With ``at_end`` also right after each run's end."""

    seconds: float = 60.0
    events: int = 10_000
    at_end: bool = False


async def keep_transparent(
    ledger: Ledger,
    *,
    signer: Signer | None = None,
    policy: CheckpointPolicy | None = None,
    interval: float = 1.0,
) -> None:
    """Keep the tree about ``interval`` seconds behind the log and, with a ``signer``, checkpoints coming.

    Runs until cancelled. An engine without a tree is left alone.
    """
    log = ledger.log
    if not isinstance(log, SQLiteLog):
        return
    tree = Tree(log)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: tree.keep(interval=interval))
        if signer is not None:
            tasks.start_soon(_sign, ledger, tree, signer, policy or CheckpointPolicy(), interval)


async def _sign(
    ledger: Ledger, tree: Tree, signer: Signer, policy: CheckpointPolicy, interval: float
) -> None:
    ends = _Ends()
    stop = ledger.listen(ends.on_commit) if policy.at_end else None
    due = 0.0
    complained = ""
    try:
        while True:
            now = ledger.clock()
            try:
                if await _is_due(tree, policy, late=now >= due or ends.take()):
                    await tree.checkpoint(signer, now=now)
                    due = now + policy.seconds
                complained = ""
            except LedgerError as error:
                if str(error) != complained:
                    complained = str(error)
                    _logger.error("the head of the log cannot be signed: %s", error)
            with anyio.move_on_after(min(interval, policy.seconds)):
                await ends.come()
    finally:
        if stop is not None:
            stop()


async def _is_due(tree: Tree, policy: CheckpointPolicy, *, late: bool) -> bool:
    newest = await tree.newest_checkpoint(signed=True)
    grown = await tree.behind() + await tree.size() - (newest.size if newest else 0)
    return grown >= policy.events or (late and grown > 0)


class _Ends:
    def __init__(self) -> None:
        self._come = anyio.Event()

    def on_commit(self, commit: Commit) -> None:
        if any(recorded.event.type in TERMINAL for recorded in commit.events):
            self._come.set()

    async def come(self) -> None:
        await self._come.wait()

    def take(self) -> bool:
        if not self._come.is_set():
            return False
        self._come = anyio.Event()
        return True
