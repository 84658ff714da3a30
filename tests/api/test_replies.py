"""Entity tags compare weakly, and addresses keep their prefix."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from progress_ledger.api.replies import json_reply, matches, raw_reply, run_path

TAG = 'W/"abc-1-ok"'


@pytest.mark.parametrize(
    ("if_none_match", "expected"),
    [
        (None, False),
        ("", False),
        (TAG, True),
        ('"abc-1-ok"', True),
        ("*", True),
        (f'"x", {TAG}', True),
        ('W/"abc-2-ok"', False),
        ("abc-1-ok", False),
    ],
)
def test_a_tag_is_compared_weakly(if_none_match: str | None, expected: bool) -> None:
    assert matches(TAG, if_none_match) is expected


def test_json_is_ascii() -> None:
    assert bytes(json_reply({"a": "é\u2028"}).body) == b'{"a":"\\u00e9\\u2028"}'
    assert bytes(raw_reply(b"[]").body) == b"[]"


@pytest.mark.parametrize(
    ("root", "path"), [("", "/v1/runs/r"), ("/x", "/x/v1/runs/r"), ("/x/", "/x/v1/runs/r")]
)
def test_an_address_keeps_the_prefix(root: str, path: str) -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "root_path": root}
    assert run_path(Request(scope), "r") == path
