"""A query becomes a filter, and a cursor comes back as what it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from progress_ledger.api.filters import Order, listing_of, make_cursor, number_of, read_cursor, run_filter
from progress_ledger.api.problems import Refusal
from progress_ledger.ledger.log import RunFilter


def test_an_empty_query_means_every_run() -> None:
    assert run_filter(QueryParams("")) == RunFilter()
    listing = listing_of(QueryParams(""))
    assert (listing.stalled, listing.order, listing.limit, listing.after) == (None, "-created", 100, None)


def test_all_filters_are_read() -> None:
    query = "kind=a&scope=s&parent=p&slot=x&label=k:v:w&label=l:&run=r1,r2&run=r3&q=text"
    assert run_filter(QueryParams(query)) == RunFilter(
        kind="a",
        scope="s",
        parent="p",
        slot="x",
        labels=(("k", "v:w"), ("l", "")),
        run_ids=frozenset(("r1", "r2", "r3")),
        q="text",
    )
    assert run_filter(QueryParams("kind=a&kind=b")).kinds == frozenset("ab")


def test_more_labels_than_a_run_can_have_are_refused_and_repeated_ones_count_once() -> None:
    asked = "&".join(f"label=k{number}:v" for number in range(64))
    assert len(run_filter(QueryParams(f"{asked}&{asked}")).labels) == 64
    with pytest.raises(Refusal, match="65 labels"):
        run_filter(QueryParams(f"{asked}&label=more:v"))


@given(st.integers(0, 10**17), st.sampled_from(["created", "-created"]))
def test_a_cursor_comes_back_as_what_it_was(number: int, order: Order) -> None:
    cursor = make_cursor(number, order)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert read_cursor(cursor, order) == number


@given(st.text(max_size=30))
def test_a_cursor_nobody_gave_out_is_refused(text: str) -> None:
    try:
        number = read_cursor(text, "created")
    except Refusal:
        return
    assert number >= 0


@pytest.mark.parametrize("change", ["{}=", "{}!", "!{}", "{}\n", "{0}=={0}"])
def test_a_cursor_that_was_changed_is_refused(change: str) -> None:
    with pytest.raises(Refusal):
        read_cursor(change.format(make_cursor(42, "created")), "created")


@pytest.mark.parametrize("text", ["", " 5", "+5", "\u0665", "5.0", "1e3", "0", "6"])
def test_a_number_is_plain_and_within_its_bounds(text: str) -> None:
    with pytest.raises(Refusal):
        number_of(QueryParams({"n": text}), "n", default=1, lowest=1, highest=5)
    assert number_of(QueryParams({"n": "5"}), "n", default=1, lowest=1, highest=5) == 5
