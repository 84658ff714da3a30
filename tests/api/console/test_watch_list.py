"""The list obeys its keys, keeps its choice, and shows what is stuck first."""

from __future__ import annotations

from typing import Any

from progress_ledger.api.console.watch_list import WatchList


def run(run_id: str, status: str = "running", *, stalled: bool = False) -> dict[str, Any]:
    return {"run_id": run_id, "kind": "k", "scope": None, "title": None, "status": status, "stalled": stalled}


RUNS = [run("done", "completed"), run("wait", "queued"), run("go"), run("stuck", stalled=True)]


def ids(runs: list[dict[str, Any]]) -> list[str]:
    return [each["run_id"] for each in runs]


def test_stalled_runs_come_first_and_ended_ones_last() -> None:
    assert ids(WatchList().show(RUNS, 10)) == ["stuck", "go", "wait", "done"]


def test_the_choice_stays_with_its_run_when_others_move() -> None:
    watch = WatchList()
    watch.show(RUNS, 10)
    assert watch.chosen == "stuck"
    watch.press("down")
    watch.press("j")
    assert watch.chosen == "wait"
    watch.show([run("new", stalled=True), *RUNS], 10)
    assert watch.chosen == "wait"
    watch.press("k")
    assert watch.chosen == "go"


def test_the_choice_stops_at_both_ends_and_is_always_shown() -> None:
    watch = WatchList()
    watch.show(RUNS, 2)
    watch.press("up")
    assert watch.chosen == "stuck"
    for _ in range(9):
        watch.press("down")
    assert watch.chosen == "done"
    assert ids(watch.show(RUNS, 2)) == ["wait", "done"]


def test_enter_shows_one_and_goes_back() -> None:
    watch = WatchList()
    watch.show(RUNS, 10)
    modes = []
    for _ in range(2):
        watch.press("enter")
        modes.append(watch.mode)
    assert modes == ["detail", "list"]


def test_while_a_filter_is_typed_letters_are_letters() -> None:
    watch = WatchList()
    watch.press("f")
    for key in ("q", "u", "x", "backspace"):
        assert watch.press(key) is None
    assert watch.filter == "qu"
    assert ids(watch.show(RUNS, 10)) == ["wait"]
    watch.press("enter")
    assert watch.mode == "list"
    assert "filter: qu" in watch.hint
    watch.press("f")
    watch.press("escape")
    assert len(watch.show(RUNS, 10)) == 4


def test_a_cancel_is_asked_for_twice() -> None:
    watch = WatchList()
    watch.show(RUNS, 10)
    assert watch.press("c") is None
    assert "stuck" in watch.hint
    assert watch.press("n") is None
    assert watch.mode == "list"
    watch.press("c")
    assert watch.press("y") == "cancel"
    assert watch.press("q") == "quit"


def test_with_nothing_to_choose_nothing_is_cancelled() -> None:
    watch = WatchList()
    assert watch.show([], 10) == []
    watch.press("c")
    assert watch.press("y") is None
    watch.press("down")
    assert watch.chosen is None
