"""Whoever waits for the fold is answered at the position it needs, and not before."""

from __future__ import annotations

import pytest

from progress_ledger.ledger.errors import Unavailable
from progress_ledger.projections.callers import Callers

pytestmark = pytest.mark.anyio


async def test_who_needs_nothing_that_is_behind_is_answered_at_once() -> None:
    callers = Callers()
    run, everything = callers.come(["a", "gone"]), callers.come()
    callers.place(callers.take(), fold=5, head=9, needed={"a": 0})
    assert run.done()
    assert not everything.done()
    assert len(callers) == 1


async def test_everybody_waits_for_the_greatest_position_it_needs() -> None:
    callers = Callers()
    both, one, everything = callers.come(["a", "b"]), callers.come(["a"]), callers.come()
    callers.place(callers.take(), fold=1, head=9, needed={"a": 4, "b": 7})
    assert not callers.waits(3)
    assert callers.waits(4)
    answered = []
    for position in (3, 4, 7, 9):
        callers.reached(position)
        answered.append([future.done() for future in (one, both, everything)])
    assert answered == [
        [False, False, False],
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
    assert not len(callers)


async def test_a_look_is_only_for_those_who_came_before_it() -> None:
    callers = Callers()
    first = callers.come()
    taken = callers.take()
    late = callers.come()
    callers.place(taken, fold=9, head=9, needed={})
    assert first.done()
    assert not late.done()
    assert [caller.runs for caller in callers.take()] == [None]


async def test_an_error_is_the_answer_to_all_but_newcomers() -> None:
    callers = Callers()
    waiting = callers.come()
    callers.place(callers.take(), fold=1, head=9, needed={})
    taken_one = callers.come(["a"])
    taken = callers.take()
    late = callers.come()
    callers.fail(Unavailable("no"), taken)
    for future in (waiting, taken_one):
        with pytest.raises(Unavailable):
            await future
    assert not late.done()


async def test_who_has_left_is_passed_over() -> None:
    callers = Callers()
    one, two = callers.come(), callers.come()
    callers.place(callers.take(), fold=1, head=9, needed={})
    one.cancel()
    callers.reached(9)
    assert two.done()
    three = callers.come()
    three.cancel()
    callers.fail(Unavailable("no"), callers.take())
