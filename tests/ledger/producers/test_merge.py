"""However often and from wherever it is said, the sum is right."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from progress_ledger.ledger.events import MAX_COUNT, Ticked
from progress_ledger.ledger.producers.merge import MAX_MESSAGE, Merge, join_ticks, plain_text
from tests.ledger.producing import tick_from_threads


def test_calls_become_one_tick() -> None:
    merge = Merge()
    for _ in range(3):
        merge.advance(2, counts={"passed": 1})
    merge.advance(1, message="x")
    assert merge.take() == [Ticked(advance=7, counts={"passed": 3}, message="x")]
    assert merge.take() == []


def test_what_is_set_comes_after_what_was_added() -> None:
    merge = Merge()
    merge.advance(5, counts={"a": 1})
    merge.set(9, 20, counts={"b": 2})
    assert merge.take() == [
        Ticked(advance=5, counts={"a": 1}),
        Ticked(done=9, total=20, counts={"b": 2}),
    ]


def test_a_total_is_said_when_it_changes_only() -> None:
    merge = Merge()
    merge.set(1, 20)
    assert merge.take()[0].total == 20
    merge.set(2, 20)
    assert merge.take()[0].total is UNSET
    merge.set(3, None)
    assert merge.take()[0].total is None


def test_it_wakes_once_until_it_is_taken() -> None:
    woken: list[int] = []
    merge = Merge(lambda: woken.append(1))
    merge.advance()
    merge.advance()
    assert woken == [1]
    merge.take()
    merge.set(3)
    assert woken == [1, 1]


@pytest.mark.parametrize("wrong", [-1, 1.5, "7", None, float("inf"), float("nan")])
def test_wrong_numbers_count_nothing_and_are_counted(wrong: object) -> None:
    merge = Merge()
    merge.advance(wrong)  # type: ignore[arg-type]  # it is what is tested
    merge.set(wrong)  # type: ignore[arg-type]
    merge.advance(0, counts={"x": wrong})  # type: ignore[dict-item]
    assert merge.take() == []
    assert merge.ignored == 3


@pytest.mark.parametrize("wrong", [-1, 1.5, "7", None])
def test_wrong_numbers_raise_when_strict(wrong: object) -> None:
    with pytest.raises(ValueError):
        Merge(strict=True).advance(wrong)  # type: ignore[arg-type]  # it is what is tested


def test_names_of_counts_are_bounded() -> None:
    merge = Merge()
    for number in range(300):
        merge.advance(1, counts={f"n{number}": 1})
    (tick,) = merge.take()
    assert tick.advance == 300
    assert len(tick.counts or {}) == 256


def test_threads_lose_nothing_while_it_is_taken() -> None:
    merge = Merge()
    thread = threading.Thread(target=lambda: tick_from_threads(merge.advance, times=20_000))
    thread.start()
    taken = 0
    while thread.is_alive():
        taken += sum(tick.advance or 0 for tick in merge.take())
    taken += sum(tick.advance or 0 for tick in merge.take())
    assert taken == 80_000


def test_a_forked_child_forgets_what_its_parent_will_say() -> None:
    merge = Merge()
    merge.advance(5)
    merge.forget()
    merge.advance(2)
    assert merge.take() == [Ticked(advance=2)]


_ticks = st.one_of(
    st.builds(
        Ticked,
        advance=st.integers(0, 9),
        counts=st.none() | st.dictionaries(st.sampled_from("abc"), st.integers(0, 5), min_size=1),
    ),
    st.builds(
        Ticked,
        done=st.integers(0, 50),
        counts=st.none() | st.dictionaries(st.sampled_from("abc"), st.integers(0, 5), min_size=1),
        total=st.just(UNSET) | st.integers(0, 9),
    ),
)


def _fold(state: tuple[int, dict[str, int], object], tick: Ticked) -> tuple[int, dict[str, int], object]:
    done, counts, total = state
    counts = dict(counts)
    for name, value in (tick.counts or {}).items():
        counts[name] = value if tick.advance is None else counts.get(name, 0) + value
    done = max(done, tick.done) if tick.done is not None else done + (tick.advance or 0)
    return done, counts, total if tick.total is UNSET else tick.total


@given(_ticks, _ticks, st.integers(0, 60))
def test_joined_ticks_fold_like_the_two(first: Ticked, second: Ticked, done: int) -> None:
    joined = join_ticks(first, second)
    state: tuple[int, dict[str, int], object] = (done, {"a": 1}, None)
    if joined is None:
        assert (first.advance is None) != (second.advance is None)
    else:
        assert _fold(state, joined) == _fold(_fold(state, first), second)


def test_sums_stay_within_what_the_log_takes() -> None:
    merge = Merge()
    merge.advance(MAX_COUNT)
    merge.advance(MAX_COUNT)
    assert merge.take()[0].advance == MAX_COUNT


def test_texts_are_made_fit_for_an_event() -> None:
    assert plain_text("a\0b\ud800") == "a\N{SYMBOL FOR NULL}b?"
    assert len(plain_text("x" * 9_000)) == MAX_MESSAGE
    assert plain_text(ValueError("why")) == "why"


class Evil:
    """An object of the caller's that cannot be asked anything."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__

    def __int__(self) -> int:
        raise RuntimeError("no")

    def items(self) -> list[object]:
        raise RuntimeError("no")


@pytest.mark.parametrize("wrong", [5, 1.5, "x", b"x", ["a"], {200: 1}, {None: 1}, {"a": Evil()}, Evil()])
def test_counts_that_are_none_are_ignored_and_the_rest_counts(wrong: object) -> None:
    merge = Merge()
    merge.advance(2, counts=wrong)  # type: ignore[arg-type]
    merge.set(7, counts=wrong)  # type: ignore[arg-type]
    assert merge.ignored == 2
    assert merge.take()[-1].done == 7
    with pytest.raises(ValueError):
        Merge(strict=True).advance(2, counts=wrong)  # type: ignore[arg-type]


def test_an_object_that_fails_itself_fails_no_job() -> None:
    merge = Merge()
    merge.advance(Evil())  # type: ignore[arg-type]
    merge.set(1, Evil())  # type: ignore[arg-type]
    merge.advance(1, message=Evil())  # type: ignore[arg-type]
    assert merge.ignored == 2
    assert merge.take() == [Ticked(advance=1, message="<Evil>")]
