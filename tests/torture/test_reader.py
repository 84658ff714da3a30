"""What the torture's reader concludes from frames."""

from __future__ import annotations

from pathlib import Path

import pytest

from .model import Broken, Model
from .reader import Reader


def _hello(status: str, reason: str | None = None) -> str:
    told = "null" if reason is None else f'"{reason}"'
    return f'{{"status":"{status}","reason":{told}}}'


def _snapshot(run_id: str) -> str:
    return f'{{"run":{{"run_id":"{run_id}","version":1}}}}'


def _last_frame(run_id: str) -> str:
    event = f'"run_id":"{run_id}","version":2,"position":3,"type":"completed"'
    return f'{{"event":{{{event}}},"run":{{"version":2}},"final":true}}'


def _behind(path: Path, *, narrow: bool = True) -> Reader:
    reader = Reader("reader", Model(path / "p.db"), run_id=None, narrow=narrow)
    reader.connected()
    reader.frame("hello", _hello("new"), None)
    for run_id in ("a", "b"):
        reader.frame("snapshot", _snapshot(run_id), None)
    reader.frame("live", '{"runs":2}', "00-2")
    reader.frame("hello", _hello("reset", "behind"), None)
    return reader


def test_a_run_that_ended_unseen_while_its_reader_was_behind_is_noticed(tmp_path: Path) -> None:
    reader = _behind(tmp_path)
    reader.frame("snapshot", _snapshot("a"), None)
    with pytest.raises(Broken, match=r"the ends of \['b'\] were never told"):
        reader.frame("live", '{"runs":1}', "00-5000")


def test_a_run_whose_end_is_told_before_the_snapshots_is_not_missed(tmp_path: Path) -> None:
    reader = _behind(tmp_path)
    reader.frame("completed", _last_frame("b"), None)
    reader.frame("snapshot", _snapshot("a"), None)
    reader.frame("live", '{"runs":1}', "00-5000")
    assert reader.lacks({"a": (1, 1), "b": (2, 3)}) is None


def test_only_a_narrow_reader_may_be_behind_and_only_while_it_is_told_something(tmp_path: Path) -> None:
    narrow, wide = _behind(tmp_path), _behind(tmp_path, narrow=False)
    assert narrow.lacks({}) == "a snapshot"
    assert narrow.crawls(60)
    assert not narrow.crawls(0)
    assert not wide.crawls(60)
