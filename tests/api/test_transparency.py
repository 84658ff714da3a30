"""A server keeps the tree up and its head signed, at once when a run ends if that was asked for."""

from functools import partial
from pathlib import Path

import anyio
import pytest

from progress_ledger.api.transparency import CheckpointPolicy, keep_transparent
from progress_ledger.ledger.audit.note import new_signer
from progress_ledger.ledger.ledger import Ledger
from tests.ledger.histories import fill, ledger_at

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "policy",
    [
        CheckpointPolicy(seconds=0.01),
        CheckpointPolicy(seconds=1e9, events=5),
        CheckpointPolicy(seconds=1e9, events=10**9, at_end=True),
    ],
)
async def test_the_head_is_signed_when_the_policy_says_so(tmp_path: Path, policy: CheckpointPolicy) -> None:
    pytest.importorskip("cryptography")
    async with ledger_at(tmp_path / "a.db") as (ledger, tree), anyio.create_task_group() as tasks:
        signer = new_signer(tree.origin)
        tasks.start_soon(partial(keep_transparent, ledger, signer=signer, policy=policy, interval=0.01))
        await fill(ledger)
        size = await ledger.log.head()
        with anyio.fail_after(20):
            while True:
                newest = await tree.newest_checkpoint(signed=True)
                if newest is not None and newest.size >= size - 5:
                    break
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


async def test_without_a_key_only_the_tree_is_kept_up(tmp_path: Path) -> None:
    async with ledger_at(tmp_path / "a.db") as (ledger, tree), anyio.create_task_group() as tasks:
        tasks.start_soon(partial(keep_transparent, ledger, interval=0.01))
        await fill(ledger)
        with anyio.fail_after(20):
            while await tree.behind():  # noqa: ASYNC110 - the fold tells nobody
                await anyio.sleep(0.01)
        assert await tree.newest_checkpoint() is None
        tasks.cancel_scope.cancel()


async def test_an_engine_without_a_tree_is_left_alone() -> None:
    async with Ledger.open(":memory:") as ledger:
        await keep_transparent(ledger)
