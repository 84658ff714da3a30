"""Tokens from the command line, as a user makes them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from progress_ledger.api.cli import main
from progress_ledger.api.commands.token import seconds_of


def test_a_new_token_is_the_last_word_on_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db = str(tmp_path / "progress.db")
    assert main(["token", "new", "--role", "reader", "--kind", "qa_*", "--expires", "30d", "--db", db]) == 0
    text = capsys.readouterr().out.split()[-1]
    assert text.startswith("pl_")
    assert main(["token", "list", "--db", db, "--json"]) == 0
    (row,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (row["role"], row["kinds"], row["revoked"]) == ("reader", "qa_*", None)
    assert row["expires"] > row["created"]
    assert text not in json.dumps(row)


def test_as_json_it_is_a_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = str(tmp_path / "progress.db")
    assert main(["token", "new", "--role", "operator", "--json", "--db", db]) == 0
    assert json.loads(capsys.readouterr().out)["token"].startswith("pl_")


def test_a_revoked_token_says_so_and_an_unknown_one_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db = str(tmp_path / "progress.db")
    main(["token", "new", "--role", "reader", "--json", "--db", db])
    token_id = json.loads(capsys.readouterr().out)["id"]
    assert main(["token", "revoke", token_id, "--db", db]) == 0
    main(["token", "list", "--json", "--db", db])
    assert json.loads(capsys.readouterr().out)["revoked"] is not None
    assert main(["token", "revoke", "nobody", "--db", db]) == 2
    assert "there is no token" in capsys.readouterr().err


def test_a_server_does_not_listen_beyond_this_machine_without_tokens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db = str(tmp_path / "progress.db")
    assert main(["serve", "--host", "0.0.0.0", "--port", "0", "--db", db]) == 2
    assert "token new" in capsys.readouterr().err


def test_durations_are_read_in_the_usual_units() -> None:
    assert [seconds_of(text) for text in ("90s", "15m", "12h", "30d", "4w")] == [
        90,
        900,
        43_200,
        2_592_000,
        2_419_200,
    ]
    for wrong in ("", "0d", "3", "1y", "-1d"):
        with pytest.raises(argparse.ArgumentTypeError):
            seconds_of(wrong)
