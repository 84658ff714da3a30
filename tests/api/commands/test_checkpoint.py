"""`checkpoint` makes keys that nobody else reads, signs the head, and keeps what witnesses add."""

import stat
from pathlib import Path

import pytest

from progress_ledger.ledger.audit.note import format_note, new_signer, parse_note, parse_verifier_key
from tests.api.auditing import command, ledger_file

Capture = pytest.CaptureFixture[str]


def test_a_key_is_not_made_beside_the_log_and_never_overwritten(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("cryptography")
    db = ledger_file(tmp_path / "a.db")
    assert command(capsys, "checkpoint", "--db", db, "--new-key", tmp_path / "key").status == 2
    (tmp_path / "keys").mkdir()
    key = tmp_path / "keys" / "key"
    made = command(capsys, "checkpoint", "--db", db, "--new-key", key)
    assert made.status == 0, made.err
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "PRIVATE" not in made.out
    assert command(capsys, "checkpoint", "--db", db, "--new-key", key).status == 2
    note = parse_note(command(capsys, "checkpoint", "--db", db, "--key", key).out)
    assert parse_verifier_key(made.out).signed(note)


def test_the_bare_head_is_kept_without_a_key_and_all_are_listed(tmp_path: Path, capsys: Capture) -> None:
    db = ledger_file(tmp_path / "a.db")
    said = command(capsys, "checkpoint", "--db", db)
    assert said.out.split("\n")[1] == "21"
    listed = command(capsys, "checkpoint", "--db", db, "--list").lines
    assert [(one["size"], one["signed"]) for one in listed] == [(21, False)]


def test_a_witness_line_is_kept(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("cryptography")
    db = ledger_file(tmp_path / "a.db")
    key = tmp_path / "key"
    command(capsys, "checkpoint", "--db", db, "--new-key", key, "--origin", "log.example")
    note = parse_note(command(capsys, "checkpoint", "--db", db, "--key", key).out)
    _, line = new_signer("witness.example").cosign(note.text, 1_800_000_000)
    (tmp_path / "signed").write_text(format_note(note.text, [*note.lines, line]))
    assert command(capsys, "checkpoint", "--db", db, "--witness", tmp_path / "signed").lines == [{"added": 1}]
    assert line in command(capsys, "checkpoint", "--db", db, "--key", key).out
