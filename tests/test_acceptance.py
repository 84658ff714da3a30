"""The acceptance page is true: every row's tests are there, and the page names them."""

from __future__ import annotations

from tests import acceptance


def test_every_row_names_tests_that_are_there() -> None:
    assert acceptance.wrong() == []


def test_the_page_names_the_tests_that_there_are() -> None:
    assert acceptance.same_tests(), "run python -m tests.acceptance"


def test_no_row_of_the_page_failed_when_it_was_written() -> None:
    rows = [
        line for line in acceptance.PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")
    ]
    assert [row for row in rows if row.endswith("| fail |")] == []
