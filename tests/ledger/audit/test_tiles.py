"""Tile paths and entry bundles are those of the published format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progress_ledger.ledger.audit.tiles import (
    TilePath,
    entry_bundle,
    parse_entries,
    parse_tile_path,
    tile_path,
    tile_width,
)


def test_the_published_examples_come_out() -> None:
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path(3, 0, 112) == "tile/3/000.p/112"
    assert tile_path(None, 1000, 5) == "tile/entries/x001/000.p/5"


@given(st.none() | st.integers(0, 63), st.integers(0, 2**40), st.integers(1, 256))
def test_a_path_is_read_back_as_it_was_written(level: int | None, index: int, width: int) -> None:
    assert parse_tile_path(tile_path(level, index, width).removeprefix("tile/")) == (level, index, width)


@pytest.mark.parametrize(
    "path",
    [
        "0/0",
        "64/000",
        "00/000",
        "0/x000/001",
        "0/1234",
        "0/001.p/0",
        "0/001.p/256",
        "0/001.p/01",
        "0/x001",
        "-1/000",
    ],
)
def test_what_is_no_canonical_path_is_none(path: str) -> None:
    assert parse_tile_path(path) is None


def test_widths_follow_the_size() -> None:
    assert [tile_width(0, index, 70_000) for index in (0, 272, 273, 274)] == [256, 256, 112, 0]
    assert (tile_width(1, 1, 70_000), tile_width(2, 0, 70_000)) == (17, 1)
    assert parse_tile_path("entries/001.p/7") == TilePath(None, 1, 7)


@given(st.lists(st.binary(max_size=400), max_size=20))
def test_an_entry_bundle_gives_its_leaves_back(leaves: list[bytes]) -> None:
    data = entry_bundle(leaves)
    assert parse_entries(data) == leaves
    if data:
        with pytest.raises(ValueError, match="ends inside"):
            parse_entries(data + b"\x00")


def test_a_leaf_past_the_length_prefix_is_refused() -> None:
    with pytest.raises(ValueError, match="65535"):
        entry_bundle([bytes(65_536)])
