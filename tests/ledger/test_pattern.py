"""Patterns mean the same in Python and in SQLite."""

from __future__ import annotations

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from progress_ledger.ledger.pattern import as_glob, fits

SIGNS = st.text(alphabet="ab*?[]^-._\n\\é", max_size=8)


def test_a_star_is_any_text_and_a_question_mark_one_character() -> None:
    assert fits("qa_*", "qa_")
    assert fits("qa_*", "qa_bulk")
    assert fits("q?", "qa")
    assert not fits("q?", "q")
    assert not fits("[ab]", "a")
    assert fits("[ab]", "[ab]")


@given(SIGNS, SIGNS)
def test_sqlite_finds_what_python_finds(pattern: str, name: str) -> None:
    connection = sqlite3.connect(":memory:")
    try:
        (found,) = connection.execute("SELECT ? GLOB ?", (name, as_glob(pattern))).fetchone()
    finally:
        connection.close()
    assert bool(found) == fits(pattern, name)
