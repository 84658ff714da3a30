"""A parent is done no sooner than the last of its children."""

from __future__ import annotations

import pytest

from progress_ledger.ledger.events import Completed
from progress_ledger.projections.family import Family, with_children
from progress_ledger.projections.view import view

from .courses import Fold


def _family(fold: Fold) -> Family:
    family = Family()
    family.rebuild({run_id: state for run_id, state in fold.states.items() if state.finished_at is None})
    return family


def test_the_eta_of_a_parent_is_the_longest_of_its_childrens_not_their_sum() -> None:
    fold = Fold()
    parent = fold.start("parent")
    for name, done in (("x", 50), ("y", 20)):
        fold.start(name, total=100, parent="parent", kind=name)
        fold.work(name, 100, until=done)
    seen = _family(fold).view(parent, fold.now, fold.states)
    etas = [view(fold.states[name], fold.now).eta_seconds for name in ("x", "y")]
    assert seen.eta_seconds == max(eta for eta in etas if eta is not None)
    assert seen.eta_basis == "mean"
    assert seen.finish_at is not None


def test_a_child_of_which_nothing_is_known_leaves_the_parent_without_a_number() -> None:
    fold = Fold()
    parent = fold.start("parent")
    fold.start("x", total=10, parent="parent")
    fold.work("x", 10, until=5)
    fold.start("y", parent="parent")
    assert _family(fold).view(parent, fold.now, fold.states).eta_seconds is None


def test_a_child_that_has_ended_counts_no_more() -> None:
    fold = Fold()
    parent = fold.start("parent")
    family = Family()
    fold.start("x", total=10, parent="parent")
    fold.work("x", 10, until=5)
    family.folded(fold.states["x"])
    assert family.view(parent, fold.now, fold.states).eta_seconds is not None
    family.folded(fold.tell("x", Completed()))
    assert family.view(parent, fold.now, fold.states).eta_seconds is None


def test_a_parents_own_longer_number_stays() -> None:
    fold = Fold()
    fold.start("parent", total=1000)
    fold.work("parent", 1000, until=10)
    fold.start("x", total=10, parent="parent", kind="x")
    fold.work("x", 10, until=9)
    own = view(fold.states["parent"], fold.now)
    seen = with_children(view(fold.states["parent"], fold.now), [view(fold.states["x"], fold.now)], fold.now)
    assert seen.eta_seconds == pytest.approx(own.eta_seconds)
