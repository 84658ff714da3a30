"""What a server does beside serving is said by options, and goes on when one time fails."""

import argparse
from functools import partial
from pathlib import Path

import anyio
import pytest

from progress_ledger.api.commands.source import Usage
from progress_ledger.api.commands.upkeep import add_upkeep, keep_pruned, upkeep_of
from progress_ledger.ledger.audit.prune import Retention
from tests.ledger.histories import BEGAN, fill, ledger_at, ticking

pytestmark = pytest.mark.anyio


def _parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--db")
    add_upkeep(parser)
    return parser.parse_args(arguments)


def test_the_tree_is_always_kept_and_pruning_is_asked_for() -> None:
    assert len(upkeep_of(_parsed())) == 1
    assert len(upkeep_of(_parsed("--prune-older-than", "90d", "--archive", "x"))) == 2
    with pytest.raises(Usage):
        upkeep_of(_parsed("--checkpoint-events", "0"))


async def test_old_runs_go_while_the_server_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.db"
    async with ledger_at(path) as (ledger, _):
        await fill(ledger)
    blocked = tmp_path / "blocked"
    blocked.write_text("no folder")
    async with (
        ledger_at(path, clock=ticking(BEGAN + 1_000_000)) as (ledger, _),
        anyio.create_task_group() as tasks,
    ):
        failing = Retention(older_than=60, archive=blocked)
        tasks.start_soon(partial(keep_pruned, ledger, retention=failing, every=0.01))
        with anyio.fail_after(20):
            while "pruning failed" not in caplog.text:  # noqa: ASYNC110 - a log line wakes nobody
                await anyio.sleep(0.01)
        good = Retention(older_than=60, archive=tmp_path / "archive")
        tasks.start_soon(partial(keep_pruned, ledger, retention=good, every=0.01))
        with anyio.fail_after(20):
            while (head := await ledger.log.run("run-0")) is None or head.pruned is None:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
