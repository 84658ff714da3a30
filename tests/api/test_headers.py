"""A header is found by its name, the first of several, and what is not there is None."""

from __future__ import annotations

from progress_ledger.api.headers import header_of

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
