"""What a cursor means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progress_ledger.api.streams.resume import Decision, decide

EPOCH = "0123456789abcdef"


@pytest.mark.parametrize("cursor", [None, ""])
def test_no_cursor_is_a_new_reader(cursor: str | None) -> None:
    assert decide(cursor, epoch=EPOCH, head=5) == Decision("new", None, 0)


@pytest.mark.parametrize(("digits", "position"), [("0", 0), ("3", 3), ("5", 5), ("0003", 3)])
def test_a_position_of_this_log_is_resumed_from(digits: str, position: int) -> None:
    assert decide(f"{EPOCH}-{digits}", epoch=EPOCH, head=5) == Decision("resumed", None, position)


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        (f"{EPOCH}-6", "future"),
        (f"{EPOCH}-{'9' * 4000}", "future"),
        ("fedcba9876543210-3", "epoch"),
        ("other-1", "epoch"),
        ("ABC-1", "epoch"),
        (f"{EPOCH}-", "unknown"),
        (f"{EPOCH}--1", "unknown"),
        (f"{EPOCH}-1-2", "unknown"),
        (f"{EPOCH}-1 ", "unknown"),
        (f"{EPOCH}-1\n", "unknown"),
        (f"{EPOCH}-٣", "unknown"),
        ("17", "unknown"),
        ("é-1", "unknown"),
        ("\x00", "unknown"),
    ],
)
def test_what_says_nothing_here_is_reset_with_its_reason(cursor: str, reason: str) -> None:
    assert decide(cursor, epoch=EPOCH, head=5) == Decision("reset", reason, 0)  # type: ignore[arg-type]


@given(st.text(), st.integers(0, 10**18))
def test_no_text_is_an_error_and_nothing_beyond_the_head_is_resumed(cursor: str, head: int) -> None:
    decision = decide(cursor, epoch=EPOCH, head=head)
    assert decision.position <= head
    assert (decision.reason is None) == (decision.status != "reset")
