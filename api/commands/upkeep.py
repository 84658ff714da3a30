"""What ``progress-ledger serve`` does beside serving: sign the log's head in time, prune what is old."""

import argparse
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from progress_ledger.ledger.audit.note import Signer
from progress_ledger.ledger.audit.prune import Retention, prune
from progress_ledger.ledger.errors import LedgerError
from progress_ledger.ledger.ledger import Ledger

from ..transparency import CheckpointPolicy, keep_transparent
from .file import age, read_signer
from .prune import add_retention, retention_of
from .source import Usage, file_of

__all__ = ("add_upkeep", "keep_pruned", "upkeep_of")

_logger = logging.getLogger("progress_ledger.api")

_PRUNE_EVERY = 3600.0
"""Seconds between two looks at what may be pruned."""


def add_upkeep(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    signing = parser.add_argument_group("checkpoints")
    signing.add_argument("--checkpoint-key", metavar="FILE", help="sign the log's head with this private key")
    signing.add_argument(
        "--checkpoint-every", type=age, default=60.0, metavar="AGE", help="while events come (default: 1m)"
    )
    signing.add_argument(
        "--checkpoint-events",
        type=int,
        default=10_000,
        metavar="N",
        help="and after so many (default: 10000)",
    )
    signing.add_argument("--checkpoint-at-end", action="store_true", help="and right after each run's end")
    keeping = parser.add_argument_group("retention")
    keeping.add_argument(
        "--prune-older-than", type=age, metavar="AGE", help="archive and remove runs that ended so long ago"
    )
    add_retention(parser)


def upkeep_of(arguments: argparse.Namespace) -> list[Callable[[Ledger], Coroutine[Any, Any, None]]]:
    """What is to run beside the server. Raises Usage, InvalidNote and AuditExtraMissing."""
    signer = read_signer(arguments.checkpoint_key)
    if arguments.checkpoint_events < 1 or arguments.checkpoint_every <= 0:
        raise Usage("--checkpoint-every and --checkpoint-events must be above 0.")
    policy = CheckpointPolicy(
        seconds=arguments.checkpoint_every,
        events=arguments.checkpoint_events,
        at_end=arguments.checkpoint_at_end,
    )
    work: list[Callable[[Ledger], Coroutine[Any, Any, None]]] = [
        partial(keep_transparent, signer=signer, policy=policy)
    ]
    if arguments.prune_older_than is not None:
        db = Path(file_of(arguments.db))
        retention = retention_of(arguments, db, arguments.prune_older_than, reason="retention of the server")
        work.append(partial(keep_pruned, retention=retention, signer=signer))
    return work


async def keep_pruned(
    ledger: Ledger, *, retention: Retention, signer: Signer | None = None, every: float = _PRUNE_EVERY
) -> None:
    """Prune now and every so many seconds, until cancelled. What goes wrong is logged and tried again."""
    while True:
        try:
            await prune(ledger, retention, signer=signer)
        except (LedgerError, OSError) as error:
            _logger.error("pruning failed, it is tried again later: %s", error)
        await anyio.sleep(every)
