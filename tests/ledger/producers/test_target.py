"""Which ledger is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from progress_ledger.ledger.producers.target import DEFAULT_PATH, ENV_DB, ENV_URL, Target, choose_target


@pytest.mark.parametrize(
    ("given", "environ", "expected"),
    [
        ("x.db", {ENV_DB: "y.db"}, Target(str(Path("x.db").absolute()), "")),
        (None, {ENV_DB: "/y.db", ENV_URL: "http://h"}, Target("/y.db", "")),
        (None, {ENV_DB: "", ENV_URL: "http://h:8000/"}, Target("", "http://h:8000")),
        (None, {ENV_URL: "localhost:8000"}, Target("", "localhost:8000")),
        (None, {}, Target(str(Path(DEFAULT_PATH).absolute()), "")),
        ("https://h/p/", {}, Target("", "https://h/p")),
        (":memory:", {}, Target(":memory:", "")),
        (Target("/z.db", ""), {ENV_DB: "y.db"}, Target("/z.db", "")),
    ],
)
def test_arguments_then_environment_then_a_file_here(
    given: str | Target | None, environ: dict[str, str], expected: Target
) -> None:
    assert choose_target(given, environ=environ) == expected
    assert str(expected) == (expected.path or expected.url)
