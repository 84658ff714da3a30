"""A bar with the import changed is a run as well."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from progress_ledger.ledger.producers.background import stop_all
from tests.ledger.producers.test_open_run import events

tqdm_adapter = pytest.importorskip("progress_ledger.ledger.adapters.tqdm", exc_type=ImportError)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PROGRESS_LEDGER_DB", str(tmp_path / "p.db"))
    yield tmp_path / "p.db"
    stop_all()


def test_a_loop_is_a_completed_run(path: Path) -> None:
    bar = tqdm_adapter.tqdm(range(50), desc="hash", unit="files", run={"run_id": "r"}, file=io.StringIO())
    assert list(bar) == list(range(50))
    found = events(path, "r")
    assert (found[0]["data"]["kind"], found[0]["data"]["total"]) == ("hash", 50)
    assert max(event["data"].get("done", 0) for event in found) == 50
    assert found[-1]["type"] == "completed"


def test_a_bar_that_is_closed_early_is_interrupted(path: Path) -> None:
    with tqdm_adapter.tqdm(total=10, kind="k", run={"run_id": "r"}, file=io.StringIO()) as bar:
        bar.update(3)
    found = events(path, "r")
    assert max(event["data"].get("done", 0) for event in found) == 3
    assert found[-1]["type"] == "interrupted"


def test_a_disabled_bar_is_no_run(path: Path) -> None:
    assert list(tqdm_adapter.trange(3, disable=True)) == [0, 1, 2]
    assert not path.exists()
