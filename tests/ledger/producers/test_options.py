"""What callers find handy becomes a spec the ledger takes, or is refused at once."""

from __future__ import annotations

import pytest

from progress_ledger.ledger.errors import InvalidRun, TooLarge
from progress_ledger.ledger.events import Stage, Ticked
from progress_ledger.ledger.liveness.owner import owner_of
from progress_ledger.ledger.producers.options import (
    DEFAULT_LEASE,
    RunOptions,
    make_spec,
    make_tick,
    text_or_none,
)


def test_stages_may_be_names_mappings_or_stages() -> None:
    spec = make_spec("k", stages=["a", {"name": "b", "weight": 0.5}, Stage(name="c", total=3)])
    assert spec.stages == [Stage(name="a"), Stage(name="b", weight=0.5), Stage(name="c", total=3)]


def test_a_run_has_an_owner_and_a_lease_unless_told_otherwise() -> None:
    spec = make_spec("k")
    assert (spec.owner, spec.lease_seconds) == (owner_of(), DEFAULT_LEASE)
    spec = make_spec("k", owner="me", lease_seconds=None)
    assert (spec.owner, spec.lease_seconds) == (owner_of("me"), None)


@pytest.mark.parametrize(
    "wrong",
    [{"kind": ""}, {"kind": "k", "total": -1}, {"kind": "k", "labels": {"a:b": "c"}}, {"kind": "k" * 200}],
)
def test_what_the_ledger_would_refuse_is_refused_here(wrong: dict[str, object]) -> None:
    with pytest.raises((InvalidRun, TooLarge)):
        make_spec(**wrong)  # type: ignore[arg-type]  # it is what is tested


def test_a_tick_without_words_is_one_more() -> None:
    assert make_tick(None, done=None, total=3, counts=None, message=None) == Ticked(advance=1, total=3)
    assert make_tick(None, done=4, total=3, counts={"a": 1}, message="m").done == 4


def test_texts_may_be_absent() -> None:
    assert (text_or_none(None), text_or_none("a\0")) == (None, "a\N{SYMBOL FOR NULL}")
    assert RunOptions().strict is False


@pytest.mark.parametrize("seconds", ["x", None, -1, float("nan"), float("inf")])
def test_what_is_no_number_of_seconds_is_said_at_once(seconds: float) -> None:
    with pytest.raises(ValueError, match="no number of seconds"):
        RunOptions(interval=seconds)
    with pytest.raises(ValueError, match="no number of seconds"):
        RunOptions(patience=seconds)


def test_a_text_is_no_list_of_stages() -> None:
    with pytest.raises(InvalidRun, match=r"\['extract'\]"):
        make_spec("k", stages="extract")
