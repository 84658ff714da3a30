"""A file is verified from its stored bytes: hashes and rules, in one process or two."""

import sys
from pathlib import Path

import anyio
import pytest

from progress_ledger.ledger.audit.note import Checkpoint
from progress_ledger.ledger.sqlite import verify as sqlite_verify
from tests.ledger.histories import ledger_at, make, tamper

pytestmark = pytest.mark.anyio


async def test_a_good_file_verifies_whatever_the_state_of_its_tree(tmp_path: Path) -> None:
    for fold in (True, False):
        path = await make(tmp_path / f"{fold}.db", runs=4, ticks=80, open_runs=1, fold=fold)
        report = sqlite_verify.verify_file(path)
        assert report.ok, report.findings
        assert (report.size, report.runs, report.tree_size) == (327, 4, 327 if fold else 0)


async def test_the_root_is_the_tree_s(tmp_path: Path) -> None:
    path = await make(tmp_path / "a.db", ticks=120)
    async with ledger_at(path) as (_, tree):
        head = await tree.head()
        old = await tree.head(size=100)
    found = sqlite_verify.check_hashes(path, [100])
    assert (found.size, found.root, found.roots[100]) == (head.size, head.root, old.root)
    part = sqlite_verify.check_hashes(path, [], end=100)
    assert (part.size, part.root) == (100, old.root)


_SCRIPT = """
import sys, threading
from concurrent import futures
from pathlib import Path

from progress_ledger.ledger.sqlite import verify

began = []
class Pool(futures.ProcessPoolExecutor):
    def submit(self, *work):
        began.append(work)
        return super().submit(*work)

verify.ProcessPoolExecutor = Pool
verify._TWO_PROCESSES = 0
waiting = threading.Event()
if sys.argv[2] == "a thread":
    threading.Thread(target=waiting.wait).start()
print([finding.position for finding in verify.verify_file(Path(sys.argv[1])).findings], len(began))
waiting.set()
"""


@pytest.mark.parametrize(("threads", "processes"), [("no thread", 1), ("a thread", 0)])
async def test_two_processes_find_what_one_finds_and_a_script_runs_once(
    tmp_path: Path, threads: str, processes: int
) -> None:
    path = await make(tmp_path / "a.db", ticks=60)
    tamper(path, "UPDATE event SET body = replace(body, '\"passed\"', '\"failed\"') WHERE position = 50")
    tamper(path, "UPDATE head SET version = 1 WHERE run = 3")
    alone = [finding.position for finding in sqlite_verify.verify_file(path).findings]
    assert len(alone) > 1
    # A script as people write them, without a guard for being imported.
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    command = [sys.executable, str(script), str(path), threads]
    done = await anyio.run_process(command, check=False)
    assert (done.stdout, done.stderr) == (f"{alone} {processes}\n".encode(), b"")


async def test_a_kept_head_that_is_not_reached_or_not_met_is_a_finding(tmp_path: Path) -> None:
    path = await make(tmp_path / "a.db")
    later = sqlite_verify.verify_file(path, kept=[Checkpoint("x", 1000, bytes(32))])
    assert [finding.kind for finding in later.findings] == ["rolled_back"]
    other = sqlite_verify.verify_file(path, kept=[Checkpoint("x", 10, bytes(32))])
    assert [finding.kind for finding in other.findings] == ["history_rewritten"]
    root = sqlite_verify.check_hashes(path, [10]).roots[10]
    good = sqlite_verify.verify_file(path, kept=[Checkpoint("x", 10, root)])
    assert good.ok
    assert (good.trusted, good.trusted_by) == (10, "the checkpoint you hold")


async def test_rules_alone_and_their_events(tmp_path: Path) -> None:
    path = await make(tmp_path / "a.db", ticks=4)
    seen: list[int] = []
    report = sqlite_verify.check_rules(path, on_event=lambda event: seen.append(event.position))
    assert seen == list(range(1, 19))
    assert (report.events, report.runs, report.findings) == (18, 3, [])
    assert sqlite_verify.check_rules(path, end=10).events == 10
