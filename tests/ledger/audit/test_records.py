"""A list on the disk is the list it would be in memory."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progress_ledger.ledger.audit import records
from progress_ledger.ledger.audit.records import Records

Pair = tuple[int, int]


def _same(pair: Pair) -> Pair:
    return pair


def pairs(folder: Path | None = None) -> Records[Pair]:
    return Records("<qq", _same, lambda values: (values[0], values[1]), folder=folder)


@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 9))), st.integers(-3, 3))
def test_it_is_the_list_that_was_appended(items: list[Pair], at: int) -> None:
    kept = pairs()
    for item in items:
        kept.append(item)
        assert kept[-1] == item
    assert (list(kept), len(kept), kept[at:]) == (items, len(items), items[at:])
    with pytest.raises(IndexError):
        kept[len(items)]


def test_what_is_more_than_a_megabyte_lies_in_the_folder_and_is_gone_with_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_IN_MEMORY", 64)
    kept = pairs(tmp_path)
    for at in range(5000):
        kept.append((at, 1))
    assert list(kept) == [(at, 1) for at in range(5000)]
    del kept
    assert list(tmp_path.iterdir()) == []
