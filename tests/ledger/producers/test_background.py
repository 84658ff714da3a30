"""One thread a ledger, for as long as it is needed."""

from __future__ import annotations

import threading
from pathlib import Path

from progress_ledger.ledger import open_run
from progress_ledger.ledger.producers.background import background_for, release, stop_all
from progress_ledger.ledger.producers.target import choose_target
from tests.ledger.producing import run_process


def test_one_thread_serves_all_runs_of_a_ledger(tmp_path: Path) -> None:
    target = choose_target(tmp_path / "p.db")
    first, second = background_for(target), background_for(target)
    assert first is second
    assert first.users == 2
    release(first)
    release(second)
    stop_all()
    assert not first.alive
    assert background_for(target) is not first
    stop_all()


def test_it_ends_when_nobody_needs_it(tmp_path: Path) -> None:
    with open_run("k", ledger=tmp_path / "p.db"):
        names = [thread for thread in threading.enumerate() if str(tmp_path) in thread.name]
        assert len(names) == 1
    names[0].join(30)
    assert not names[0].is_alive()
    with open_run("k", ledger=tmp_path / "p.db") as run:
        assert run.tick() is not None
    stop_all()


def test_a_program_ends_although_its_ledger_is_open(tmp_path: Path) -> None:
    run_process(tmp_path / "p.db", "with open_run('k', ledger=path) as run: run.advance()")


def test_nothing_heavy_is_imported_with_the_package(tmp_path: Path) -> None:
    out = run_process(
        tmp_path, "print([m for m in ('httpx', 'starlette', 'rich', 'uvicorn') if m in sys.modules])"
    )
    assert out == "[]\n"


def test_a_missing_extra_is_said_and_does_not_fail_the_job(tmp_path: Path) -> None:
    code = """
import logging
sys.modules["httpx"] = None
logging.basicConfig(stream=sys.stdout, format="%(message)s")
with open_run("k", ledger="http://127.0.0.1:9", patience=0.1) as run:
    run.advance()
print("the job is done")
from progress_ledger.ledger.producers.background import stop_all
stop_all(0.1)
"""
    out = run_process(tmp_path, code)
    assert "needs httpx; install it with: pip install 'progress-ledger[remote]'" in out
    assert "the job is done" in out
