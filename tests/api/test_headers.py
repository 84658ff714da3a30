"""A header is found by its name, the first of several, and what is not there is None."""

from __future__ import annotations

import pytest

from progress_ledger.api.headers import accepts, header_of

SCOPE = {
    "type": "http",
    "headers": [(b"host", b"127.0.0.1"), (b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"x-name", b"caf\xe9")],
}


def test_the_first_header_of_a_name_is_found() -> None:
    assert header_of(SCOPE, b"host") == "127.0.0.1"
    assert header_of(SCOPE, b"cookie") == "a=1"


def test_bytes_beyond_ascii_are_read_and_not_refused() -> None:
    assert header_of(SCOPE, b"x-name") == "café"


def test_what_is_not_there_is_none() -> None:
    assert header_of(SCOPE, b"origin") is None


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("application/x-ndjson", True),
        ("Application/X-NDJSON", True),
        ("application/x-ndjson, */*;q=0.1", True),
        ("application/json, application/x-ndjson", True),
        ("application/json;q=0.5, application/x-ndjson; charset=utf-8; q=0.6", True),
        ("application/x-ndjson;q=0.5, application/json", False),
        ("application/x-ndjson;q=0", False),
        ("application/json", False),
        ("application/x-ndjson-seq", False),
        ("*/*", False),
        ("application/x-ndjson;q=soon", True),
        ("", False),
        (",;q=,", False),
    ],
)
def test_a_type_is_accepted_when_it_is_named_and_json_is_not_liked_better(accept: str, wanted: bool) -> None:
    assert accepts(accept, "application/x-ndjson") is wanted
