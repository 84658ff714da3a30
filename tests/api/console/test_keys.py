"""What a terminal sends is cut into keys."""

from __future__ import annotations

import pytest

from progress_ledger.api.console.keys import cut, offered


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        ("q", ["q"]),
        ("jjk", ["j", "j", "k"]),
        ("\x1b[A\x1b[B", ["up", "down"]),
        ("\x1bOA", ["up"]),
        ("\x1b", ["escape"]),
        ("\r", ["enter"]),
        ("é\x7f", ["é", "backspace"]),
        ("\x1b[C\x01", []),
        ("", []),
    ],
)
def test_a_key_is_a_character_or_a_name(typed: str, keys: list[str]) -> None:
    assert cut(typed) == keys


def test_without_a_terminal_no_keys_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/null") as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        assert not offered()
