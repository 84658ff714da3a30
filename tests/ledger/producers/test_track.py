"""A loop in two lines, counted without a line of Python in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from progress_ledger.ledger import InvalidRun, SlotTaken, open_run, track
from progress_ledger.ledger.producers.background import stop_all
from tests.ledger.producers.test_open_run import events, types
from tests.ledger.producing import advanced, run_process


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "p.db"
    stop_all()


def test_the_items_come_through_and_the_run_is_complete(path: Path) -> None:
    items = [object() for _ in range(1_000)]
    assert list(track(items, kind="k", unit="things", ledger=path, run_id="r")) == items
    found = events(path, "r")
    assert found[0]["data"]["total"] == 1_000
    assert found[0]["data"]["unit"] == "things"
    assert advanced(found) == 1_000
    assert found[-1]["type"] == "completed"


def test_a_break_ends_it_as_left_early_with_what_was_done(path: Path) -> None:
    for number in track(range(100), kind="k", ledger=path, run_id="r"):
        if number == 40:
            break
    found = events(path, "r")
    assert advanced(found) == 40
    assert (found[-1]["type"], found[-1]["data"]) == ("interrupted", {"reason": "left early"})


def test_an_exception_ends_it_as_left_early_and_goes_on(path: Path) -> None:
    def loop() -> None:
        for number in track(range(100), kind="k", ledger=path, run_id="r"):
            if number == 40:
                raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        loop()
    assert types(path, "r")[-1] == "interrupted"


def test_an_exception_of_the_iterable_goes_through(path: Path) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("gone")

    with pytest.raises(KeyError):
        list(track(items(), kind="k", ledger=path, run_id="r"))
    assert types(path, "r")[-1] == "interrupted"


@pytest.mark.acceptance("A7")
def test_no_items_is_a_completed_run(path: Path) -> None:
    assert list(track([], kind="k", ledger=path, run_id="r")) == []
    assert types(path, "r") == ["started", "completed"]
    assert events(path, "r")[0]["data"]["total"] == 0


def test_a_generator_has_no_total_unless_told(path: Path) -> None:
    assert sum(track((n for n in range(3)), kind="k", ledger=path, run_id="r")) == 3
    assert "total" not in events(path, "r")[0]["data"]


def test_a_job_is_seen_to_begin_before_it_ends(path: Path) -> None:
    import time

    deadline = time.monotonic() + 20
    for _ in track(iter(int, 1), kind="k", ledger=path, run_id="r"):
        if time.monotonic() > deadline or "ticked" in types(path, "r"):
            break
    assert "ticked" in types(path, "r")


def test_wrong_arguments_and_held_slots_raise_at_the_call(path: Path) -> None:
    with pytest.raises(InvalidRun):
        track([], kind="", ledger=path)
    with open_run("k", slot="s", ledger=path), pytest.raises(SlotTaken):
        track([], kind="k", slot="s", ledger=path)
    with pytest.raises(TypeError):
        track(5, kind="k", ledger=path)  # type: ignore[arg-type]  # it is what is tested


def test_disabled_is_the_bare_iterator(path: Path) -> None:
    items = [1, 2]
    assert type(track(items, ledger=path, disabled=True)) is type(iter(items))
    assert not path.exists()


def test_the_environment_says_where(path: Path) -> None:
    run_process(
        path, "os.environ['PROGRESS_LEDGER_DB'] = path\nfor _ in track(range(9), kind='k', run_id='r'): pass"
    )
    assert advanced(events(path, "r")) == 9


def test_a_million_iterations_append_a_few_times_a_second(path: Path) -> None:
    for _ in track(range(1_000_000), kind="k", ledger=path, run_id="r"):
        pass
    found = events(path, "r")
    assert advanced(found) == 1_000_000
    from datetime import datetime

    begun, over = (datetime.fromisoformat(found[at]["time"]) for at in (0, -1))
    assert len(found) <= 3 + 4 * (1 + (over - begun).total_seconds())
